/** Servers that can be broken in ways that a test or a demonstration seldom needs. */
export { freePorts } from './ports.ts'
export { type RabbitNode, type RabbitNodes, startRabbitNodes } from './rabbit-nodes.ts'
export { type SmallDisk, smallDisk } from './small-disk.ts'
