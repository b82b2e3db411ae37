/**
 * How far a server's clock is off at least, milliseconds; positive: ahead. What lies between sending and receiving is no skew.
 */
export function skew({ sent, server, received }: { sent: number; server: number; received: number }): number {
  if (server > received) return server - received
  return server < sent ? server - sent : 0
}
