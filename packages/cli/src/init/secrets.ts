import { randomBytes } from 'node:crypto'

/** For the doorbells' secret and the operator's token: 256 bits as 64 hex digits, which every HTTP header carries. */
export const newSecret = (): string => randomBytes(32).toString('hex')

/**
 * A login's password: 192 bits as 32 letters, digits, - and _, which need no quoting in a URL or in SQL. SQL Server's password
 * policy wants upper case, lower case and a digit: one that lacks any of them (about one in 150) is thrown away.
 */
export function newPassword(): string {
  for (;;) {
    const password = randomBytes(24).toString('base64url')
    if (/[a-z]/.test(password) && /[A-Z]/.test(password) && /\d/.test(password)) return password
  }
}
