import { confirm, input, password, select } from '@inquirer/prompts'

/** One of several answers. */
export interface Choice<T extends string> {
  readonly value: T
  readonly name: string
  /** What it means, or needs. */
  readonly description?: string
}

/** Somebody who answers questions. */
export interface Prompter {
  /** @param check a sentence if the answer will not do; null: it will. */
  text(question: string, byDefault?: string, check?: (answer: string) => string | null): Promise<string>
  /** What is typed is not shown. */
  secret(question: string): Promise<string>
  choose<T extends string>(question: string, choices: readonly Choice<T>[], byDefault?: T): Promise<T>
  confirm(question: string, byDefault: boolean): Promise<boolean>
}

/** Where the questions are asked; the process's own terminal if it is not said. */
export interface Terminal {
  readonly input?: NodeJS.ReadableStream
  readonly output?: NodeJS.WritableStream
}

/** Asks on a terminal. Ctrl-C rejects with an `ExitPromptError`. */
export const prompter = (terminal: Terminal = {}): Prompter => ({
  text: (message, byDefault, check) =>
    input(
      {
        message,
        ...(byDefault !== undefined && { default: byDefault }),
        validate: (answer) => check?.(answer.trim()) ?? true,
      },
      terminal,
    ).then((answer) => answer.trim()),
  secret: (message) => password({ message, mask: false }, terminal),
  choose: (message, choices, byDefault) =>
    select({ message, choices: [...choices], ...(byDefault !== undefined && { default: byDefault }) }, terminal),
  confirm: (message, byDefault) => confirm({ message, default: byDefault }, terminal),
})

/** Ctrl-C, or the end of the input, at a question. */
export const isAbandoned = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'ExitPromptError' || error.name === 'AbortPromptError')
