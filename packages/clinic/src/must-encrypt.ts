interface Inside {
  performTlsNegotiation?: (answer: { encryptionString?: string }, signal: AbortSignal) => Promise<void>
}

/**
 * Keeps a connection of tedious from going on in the clear. With `encrypt: true` it asks for encryption, but where the answer is
 * that there is none (from the server, or from somebody in between) tedious 19 and 20 log in all the same, password and all.
 *
 * @param connection of tedious, before the server has answered
 * @throws Error where tedious is made in another way than this knows: better no connection than one that is not looked at
 */
export function mustEncrypt(connection: object): void {
  const inside = connection as Inside
  const negotiate = inside.performTlsNegotiation
  if (typeof negotiate !== 'function') throw new TypeError('tedious negotiates TLS in another way than this knows')
  inside.performTlsNegotiation = async (answer, signal) => {
    if (answer.encryptionString !== 'ON' && answer.encryptionString !== 'REQ')
      throw Object.assign(new Error('the server does not encrypt'), { code: 'ENOENCRYPT' })
    await negotiate.call(connection, answer, signal)
  }
}
