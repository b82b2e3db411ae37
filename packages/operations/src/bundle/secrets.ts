/** In place of a secret. */
export const CUT = '[cut]'
/** `guest`, `postgres`: a short password that is a word would be cut out of every sentence. None of ours is one (init makes 48 digits). */
const isWord = (secret: string) => secret.length < 8 || /^[a-z]{1,12}$/.test(secret)

/**
 * Cuts secrets out of a text, in whatever form they are there: as they are, as JSON writes them, percent-encoded, or in base64. Nothing should
 * have put one there; this is the last look before a file leaves the house.
 */
export function withoutSecrets(secrets: readonly string[]): (text: string) => string {
  const forms = new Set(
    secrets
      .filter((secret) => !isWord(secret))
      .flatMap((secret) => [
        secret,
        JSON.stringify(secret).slice(1, -1),
        encodeURIComponent(secret),
        encodeURI(secret),
        Buffer.from(secret).toString('base64').replace(/=+$/, ''),
      ]),
  )
  // The longest first: a URL before the password in it.
  const ordered = [...forms].sort((a, b) => b.length - a.length)
  return (text) => ordered.reduce((rest, form) => rest.replaceAll(form, CUT), text)
}

/** What of a URL is secret: user's password, and parameters' values, as written and decoded. */
export function secretsOfUrl(text: string): string[] {
  if (!URL.canParse(text)) return [text]
  const { password, searchParams } = new URL(text)
  const named = [...searchParams].filter(([name]) => /pass|token|secret|key$/i.test(name)).map(([, value]) => value)
  return [text, password, decoded(password), ...named].filter((each) => each !== '')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
