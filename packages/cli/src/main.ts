import './small-heap.ts'

// Not before: what is read to load all commands would have made the heap large already.
await import('./run.ts')
