/** In place of a secret. */
export const CUT = '[cut]'
/** `guest`, `postgres`: a short password that is a word would be cut out of every sentence. None of ours is one (init makes 48 digits). */
const isWord = (secret: string) => secret.length < 8 || /^[a-z]{1,12}$/.test(secret)

/**
 * Cuts secrets out of a text, in whatever form they are there: as they are, as JSON writes them (once, or a JSON text in another), percent-encoded, or in base64. Nothing should
 * have put one there; this is the last look before a file leaves the house.
 */
export function withoutSecrets(secrets: readonly string[]): (text: string) => string {
  const forms = new Set(
    secrets
      .filter((secret) => !isWord(secret))
      .flatMap((secret) => [
        secret,
        quoted(secret),
        quoted(quoted(secret)),
        encodeURIComponent(secret),
        encodeURI(secret),
        ...inBase64(secret),
      ]),
  )
  // The longest first: a URL before the password in it.
  const ordered = [...forms].sort((a, b) => b.length - a.length)
  return (text) => ordered.reduce((rest, form) => rest.replaceAll(form, CUT), text)
}

const quoted = (text: string) => JSON.stringify(text).slice(1, -1)

/**
 * As it stands in base64, from whichever of three bytes it begins (`authorization: Basic …` has a user's name before the password): those
 * characters that depend on nothing else, in both alphabets.
 */
function inBase64(secret: string): string[] {
  const bytes = Buffer.from(secret)
  return [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
    const own = text.slice(Math.ceil((8 * before) / 6), Math.floor((8 * (before + bytes.length)) / 6))
    return [own, own.replaceAll('+', '-').replaceAll('/', '_')]
  })
}

/**
 * What of a URL is secret: user's password, and parameters' values, as written and decoded. Of one that cannot be read (a password with a
 * `#` that is not encoded, say) what stands where the password would.
 *
 * @param whole the URL itself is a secret, as a webhook's is, which lets in whoever knows it: then each part of its path and its query is
 */
export function secretsOfUrl(text: string, whole = false): string[] {
  if (!URL.canParse(text)) return [text, ...(/^\w+:\/\/[^:/]*:(.+)@/s.exec(text)?.slice(1) ?? [])]
  const { username, password, pathname, search, hash, searchParams } = new URL(text)
  const named = [...searchParams]
    .filter(([name]) => whole || /pass|token|secret|key$/i.test(name))
    .map(([, value]) => value)
  const parts = whole
    ? [username, pathname, search.slice(1), hash.slice(1), ...pathname.split('/'), ...search.slice(1).split(/[&=]/)]
    : []
  return [...new Set([text, password, ...named, ...parts].flatMap((each) => [each, decoded(each)]))].filter(
    (each) => each !== '',
  )
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
