import { isHealthy } from './is-healthy.ts'

// The image's HEALTHCHECK. The consumers answer on HEALTH_PORT, the ingress on its own.
const { HEALTH_PORT, INGRESS_PORT } = process.env
const { healthy, says } = await isHealthy(Number(HEALTH_PORT || INGRESS_PORT || 3000))
process.stdout.write(`${says}\n`)
process.exit(healthy ? 0 : 1)
