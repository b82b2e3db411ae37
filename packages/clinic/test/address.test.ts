import { openClinic, parseAddress } from '@clinic-sync/clinic'
import { pino } from 'pino'
import t from 'tap'

t.test('every part of a URL', async (t) => {
  t.match(
    parseAddress('mssql://sync:p%40ss%2Fw%25rd@db.example:1444/clinic?encrypt=false&trustServerCertificate=true'),
    {
      server: 'db.example',
      port: 1444,
      database: 'clinic',
      user: 'sync',
      password: 'p@ss/w%rd',
      options: { encrypt: false, trustServerCertificate: true },
    },
  )
  t.match(parseAddress('mssql://u:p@[::1]/clinic%20one'), { server: '::1', database: 'clinic one' })
  t.match(parseAddress('mssql://u:p@host/c?instanceName=DENTAL&domain=CLINIC'), {
    domain: 'CLINIC',
    options: { instanceName: 'DENTAL' },
  })
})

t.test('encrypted, with a certificate that is checked, unless the URL says otherwise', async (t) => {
  t.match(parseAddress('mssql://u:p@host/c'), { options: { encrypt: true, trustServerCertificate: false } })
})

t.test('a wrong URL is named in one sentence that does not hold the password', async (t) => {
  for (const [url, message] of [
    ['s3cret', /not a URL/],
    ['postgres://u:s3cret@host/c', /mssql:/],
    ['mssql://u:s3cret@host', /database/],
    ['mssql://u:s3cret@host/a/b', /database/],
    ['mssql://host/s3cret', /no user/],
    ['mssql://u:s3cret#x@host/c', /.+/],
    ['mssql://u:s3cret%@host/c', /password has a %/],
    ['mssql://u:s3cret@host/c?encrypt=yes', /encrypt must be true or false/],
    ['mssql://u:s3cret@host/c?encript=true', /"encript" is unknown/],
    ['mssql://u:s3cret@host:1/c?instanceName=x', /both a port and an instanceName/],
  ] as const) {
    t.throws(() => parseAddress(url), { code: 'SYNC_CONFIG', message }, url)
    t.throws(() => parseAddress(url), { message: /^(?!.*s3cret)/ }, url)
  }
})

t.test('a wrong zone is refused at the start', async (t) => {
  const options = { url: 'mssql://u:p@host/c', timeZone: 'Asia/Bagdad', log: pino({ level: 'silent' }) }
  await t.rejects(openClinic(options), { code: 'SYNC_CONFIG', message: /CLINIC_TIME_ZONE/ })
})
