/** What the service says at its start, until it does its work. */
export const NOT_YET =
  "postgres-to-sql is not available yet: the portal's changes stay in its outbox, marked Pending or Queued, until it is."
