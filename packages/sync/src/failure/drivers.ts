import { byCode, type FailureRule, rules } from './rule.ts'

const CERTIFICATE = {
  advice:
    'Name the certificate to trust in the URL (SQL Server: ca, Postgres: sslrootcert, RabbitMQ: cacertfile), or let the server have one that is trusted here.',
} as const

/** Codes of Node's sockets, and of mssql and tedious, where no server has answered with an error of its own. */
export const DRIVER_RULES: readonly FailureRule[] = [
  ...rules(
    'down',
    ['EACCES', 'the network refuses the connection'],
    ['EADDRNOTAVAIL', 'no local address is free'],
    ['EAI_AGAIN', 'the name server does not answer'],
    ['ECONNABORTED', 'the connection was cut'],
    ['ECONNREFUSED', 'nobody listens there'],
    ['ECONNRESET', 'the connection was cut'],
    ['EHOSTUNREACH', 'the host cannot be reached'],
    ['EMFILE', 'this process has too many files and connections open'],
    ['ENETDOWN', 'the network is down'],
    ['ENETUNREACH', 'the network cannot be reached'],
    ['ENOTFOUND', 'no such host'],
    ['EPIPE', 'the connection was cut'],
    ['EPROTO', 'the server does not speak TLS there'],
    ['ETIMEDOUT', 'no answer in time'],
    // mssql and tedious
    ['EALREADYCONNECTED', 'the driver has lost its connection'],
    ['ECLOSE', 'the connection was cut'],
    ['ECONNCLOSED', 'the connection is closed'],
    ['EENCRYPT', 'the server takes encrypted connections only'],
    ['EINSTLOOKUP', 'SQL Server Browser does not know the instance, or does not answer'],
    ['EINVALIDSTATE', 'the driver has lost its connection'],
    ['ELOGIN', 'the login failed'],
    ['ENOCONN', 'the connection is closed'],
    ['ENOENCRYPT', 'the server does not encrypt, and the URL wants it to'],
    ['ENOTOPEN', 'the connection is closed'],
    ['ESOCKET', 'the connection failed'],
    ['ETIMEOUT', 'no answer in time'],
    // TLS
    ['CERT_HAS_EXPIRED', "the server's certificate has expired", CERTIFICATE],
    ['CERT_NOT_YET_VALID', "the server's certificate is not valid yet", CERTIFICATE],
    ['CERT_SIGNATURE_FAILURE', "the server's certificate is not trusted here", CERTIFICATE],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', "the server's certificate is its own", CERTIFICATE],
    ['ERR_TLS_CERT_ALTNAME_INVALID', "the server's certificate is for another name", CERTIFICATE],
    ['SELF_SIGNED_CERT_IN_CHAIN', "the server's certificate is not trusted here", CERTIFICATE],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', "the server's certificate is not trusted here", CERTIFICATE],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', "the server's certificate is not trusted here", CERTIFICATE],
    // Node's word for what it has none for: from Node 24 on, a key of less than 2048 bits, which SQL Server 2016 makes for itself.
    ['UNSPECIFIED', "the server's certificate is refused: its key may be too short", CERTIFICATE],
  ),
  ...rules(
    'transient',
    ['EABORT', 'it was cancelled'],
    ['ECANCEL', 'it was cancelled'],
    ['EREQINPROG', 'the driver was at work already'],
  ),
  ...rules('permanent', ['EARGS', 'the driver was called wrongly'], ['EPARAM', 'the driver cannot send a value']),
]

const RULES = byCode(DRIVER_RULES)

/** What a code of the driver or of Node means; undefined: it is not in the table. */
export const driverFailure = (code: string): FailureRule | undefined => RULES.get(code)
