import { SqlError, unsupported } from '../values/errors.ts'
import { convert } from '../values/convert.ts'
import { INT, parseType, type SqlType, type SqlValue } from '../values/types.ts'
import type { Response } from './response.ts'
import type { Rpc, RpcParameter } from './rpc.ts'

interface Ready {
  readonly text: string
  readonly parameters: readonly {
    readonly name: string
    readonly type: SqlType
    readonly value: SqlValue
    readonly output: boolean
  }[]
}
interface Declared {
  readonly name: string
  readonly type: SqlType
}

/** sp_executesql and its kin: texts with typed parameters, prepared ones by handle. */
export class Prepared {
  readonly #handles = new Map<number, { text: string; declared: readonly Declared[] }>()
  #latest = 0

  /** What to run; `done` where all was done here; null for another procedure. @throws SqlError */
  resolve(name: string, rpc: Rpc, response: Response): Ready | 'done' | null {
    const [first, second, third] = rpc.parameters
    switch (name) {
      case 'sp_executesql': {
        const text = textOf(first)
        const declared = parseDeclarations(second === undefined ? '' : ((second.value as string | null) ?? ''))
        return { text, parameters: bind(declared, rpc.parameters.slice(2)) }
      }
      case 'sp_prepare': {
        const handle = this.#add(textOf(third), parseDeclarations((second?.value as string | null) ?? ''))
        response.returnValue(0, first?.name ? `@${first.name}` : '', INT, handle)
        return 'done'
      }
      case 'sp_prepexec': {
        const [text, declared] = [textOf(third), parseDeclarations((second?.value as string | null) ?? '')]
        const handle = this.#add(text, declared)
        response.returnValue(0, first?.name ? `@${first.name}` : '', INT, handle)
        return { text, parameters: bind(declared, rpc.parameters.slice(3)) }
      }
      case 'sp_execute': {
        const found = this.#handles.get(Number(first?.value))
        if (found === undefined)
          throw new SqlError(8179, `Could not find prepared statement with handle ${Number(first?.value)}.`)
        return { text: found.text, parameters: bind(found.declared, rpc.parameters.slice(1)) }
      }
      case 'sp_unprepare':
        this.#handles.delete(Number(first?.value))
        return 'done'
      default:
        if (name.startsWith('sp_') && name !== 'sp_notifyappofsync')
          throw unsupported(`the procedure ${name.slice(0, 60)}`)
        return null
    }
  }

  #add(text: string, declared: readonly Declared[]): number {
    this.#latest++
    this.#handles.set(this.#latest, { text, declared })
    return this.#latest
  }
}

function textOf(parameter: RpcParameter | undefined): string {
  if (typeof parameter?.value !== 'string')
    throw new SqlError(214, "Procedure expects parameter '@statement' of type 'ntext/nchar/nvarchar'.")
  return parameter.value
}

/** `@a int, @b nvarchar(max) output` */
function parseDeclarations(text: string): Declared[] {
  const found: Declared[] = []
  const pattern = /@([^\s]+)\s+(?:AS\s+)?(\[?\w+\]?\s*(?:\([^)]*\))?)\s*(?:OUTPUT|OUT)?\s*(?:,|$)/giy
  while (pattern.lastIndex < text.trimEnd().length) {
    while (/\s/.test(text.charAt(pattern.lastIndex))) pattern.lastIndex++
    const match = pattern.exec(text)
    if (match === null) throw unsupported('such parameter declarations')
    found.push({ name: match[1] as string, type: parseType(match[2] as string) })
  }
  return found
}

function bind(declared: readonly Declared[], given: readonly RpcParameter[]): Ready['parameters'] {
  // A statement may have 2,100 of them.
  const named = new Map<string, RpcParameter>()
  const unnamed: RpcParameter[] = []
  for (const parameter of given) {
    const name = parameter.name.toLowerCase()
    if (name === '') unnamed.push(parameter)
    else if (!named.has(name)) named.set(name, parameter)
  }
  return declared.map((d, i) => {
    const parameter = named.get(d.name.toLowerCase()) ?? unnamed[i]
    if (parameter === undefined)
      throw new SqlError(8178, `The parameterized query expects the parameter '@${d.name}', which was not supplied.`)
    return { ...d, value: convert(parameter.value, parameter.type, d.type), output: parameter.output }
  })
}
