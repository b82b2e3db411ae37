/**
 * Whether a connection failed for its certificate, by Node's code of the error: OpenSSL's of the chain, TLS' own, or that of a
 * certificate's file that cannot be read.
 */
export const isCertificateTrouble = (code: string): boolean =>
  /^(CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_|ERR_OSSL_)/.test(code) ||
  [
    'HOSTNAME_MISMATCH',
    'INVALID_CA',
    'INVALID_PURPOSE',
    'UNSPECIFIED',
    'PATH_LENGTH_EXCEEDED',
    'EPROTO',
    'ENOENT',
    'EACCES',
    'EISDIR',
  ].includes(code)
