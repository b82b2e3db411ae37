import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { aptInstall, isUbuntu } from './apt.ts'
import { Guarded } from './guarded.ts'
import { capture, executable, find, isRoot, until } from './machine.ts'
import { firstOf, NoServiceError, type BrowserService, type ServiceOptions } from './service.ts'

/** Chromium and those that are made of it, as they are called on Linux and macOS. */
const COMMANDS = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'microsoft-edge',
  'microsoft-edge-stable',
  'msedge',
]
const MAC = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
]

const ADVICE = [
  'Choose one: set CHROMIUM_PATH to the program of a Chromium, Google Chrome or Microsoft Edge; or install one (Debian:',
  'apt-get install chromium); or let it be installed for you: run again with --yes or CI=true, as root or with passwordless sudo.',
].join('\n')

const START_MS = 60_000

/** A browser's program, and one line for people that says which was taken. */
export interface FoundBrowser {
  readonly path: string
  readonly how: string
}

/**
 * A Chromium to test pages with: CHROMIUM_PATH, else one of this machine, else Debian's or Ubuntu's package, installed after asking.
 *
 * @throws NoServiceError when there is none, or CHROMIUM_PATH names none.
 */
export async function findBrowser(options: ServiceOptions = {}): Promise<FoundBrowser> {
  const env = options.env ?? process.env
  const given = env.CHROMIUM_PATH
  if (given && !(await executable(given)))
    throw new NoServiceError(`CHROMIUM_PATH is set, and there is no program at ${given}.\n${ADVICE}`)
  return firstOf<FoundBrowser>(
    'A Chromium',
    [
      { way: 'url', label: 'CHROMIUM_PATH', try: async () => (given ? found(given, ' (CHROMIUM_PATH)') : 'not set') },
      { way: 'private', label: 'one of this machine', try: () => installed(env) },
      {
        way: 'package',
        label: "the distribution's package",
        try: async () => {
          // Ubuntu's is a snap, by a package of this name.
          const name = (await isUbuntu()) ? 'chromium-browser' : 'chromium'
          return (await aptInstall({ service: 'Chromium', name }, options)) ?? installed(env)
        },
      },
    ],
    options,
    ADVICE,
  )
}

/**
 * Starts one without a window, with a profile of its own that is gone with it. It keeps to itself: no update, no first-run page, no
 * extension, and no name but this machine's own is looked up.
 *
 * @throws NoServiceError as `findBrowser`; Error with its last words when it does not start.
 */
export async function startBrowser(options: ServiceOptions = {}): Promise<BrowserService> {
  const { path, how } = await findBrowser(options)
  const guarded = await Guarded.open()
  const profile = join(guarded.folder, 'profile')
  try {
    const { exited } = await guarded.start({
      command: path,
      args: [...ARGUMENTS, ...(isRoot() ? ['--no-sandbox'] : []), `--user-data-dir=${profile}`, 'about:blank'],
      env: {
        PATH: process.env.PATH ?? '/usr/bin:/bin',
        HOME: guarded.folder,
        LANG: 'C.UTF-8',
        TZ: process.env.TZ ?? 'UTC',
      },
      log: 'browser.log',
      stopSignal: 'SIGTERM',
      graceMs: 2_000,
    })
    const port = await until(START_MS, () => portOf(profile), exited)
    return { url: `http://127.0.0.1:${port}`, how, folder: guarded.folder, stop: () => guarded.close() }
  } catch (error) {
    const words = guarded.tail('browser.log')
    await guarded.close()
    throw new Error(`${path} did not start: ${words}`, { cause: error })
  }
}

const ARGUMENTS = [
  '--headless=new',
  // It takes a free port, of 127.0.0.1, and writes it into its profile.
  '--remote-debugging-port=0',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
  '--no-first-run',
  '--no-default-browser-check',
  '--no-service-autorun',
  '--no-pings',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-component-extensions-with-background-pages',
  '--disable-default-apps',
  '--disable-domain-reliability',
  '--disable-extensions',
  '--disable-search-engine-choice-screen',
  '--disable-sync',
  '--metrics-recording-only',
  '--mute-audio',
  '--password-store=basic',
  '--use-mock-keychain',
  // A page that nobody looks at is slowed down otherwise, and every page of a test is one.
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
  // A container's /dev/shm may have 64 MB.
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--font-render-hinting=none',
  '--force-color-profile=srgb',
  '--hide-scrollbars',
]

async function portOf(profile: string): Promise<number> {
  const [port] = (await readFile(join(profile, 'DevToolsActivePort'), 'utf8')).split('\n')
  if (!port || !/^\d+$/.test(port)) throw new Error('it has not said its port yet')
  return Number(port)
}

async function installed(env: NodeJS.ProcessEnv): Promise<FoundBrowser | string> {
  for (const command of COMMANDS) {
    const path = await find(command, [], env)
    if (path) return found(path)
  }
  if (process.platform === 'darwin') for (const path of MAC) if (await executable(path)) return found(path)
  return `no ${COMMANDS.join(', ')} in PATH or /usr/bin`
}

async function found(path: string, by = ''): Promise<FoundBrowser> {
  const { output } = await capture(path, ['--version'], 20_000)
  return { path, how: `Chromium: ${path}${output === '' ? '' : `, ${output.split('\n')[0]}`}${by}` }
}
