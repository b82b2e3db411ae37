export { app, type AppOptions, options } from './app.ts'
export { Ingress, type IngressOptions } from './ingress.ts'
export { serve, type Served, type ServeOptions } from './serve.ts'
export { observers, Senses } from './alerts/senses.ts'
