/** Faults of every kind, injected into the real services: see the README. */
export {}
