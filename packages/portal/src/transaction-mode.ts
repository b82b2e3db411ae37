/** Where Supabase's poolers offer transaction mode. */
const PORT = '6543'

/**
 * Whether POSTGRES_URL is Supabase's transaction mode, where a connection is another one after each transaction: LISTEN
 * succeeds, and nothing is ever heard. Its address says so; another host's port may mean anything, and is found out by listening.
 */
export function isTransactionMode(url: string): boolean {
  const { port, hostname } = new URL(url)
  return port === PORT && /\.supabase\.(com|co)$/i.test(hostname)
}
