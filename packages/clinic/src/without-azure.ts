import { createRequire } from 'node:module'

/**
 * tedious loads @azure/identity, which signs in to Azure with Entra ID, whoever it connects as: 235 of its 435 modules, 80 ms of processor time
 * at every start and 10 MB for the service's life. Nobody here can sign in that way (see `parseAddress`), so tedious is given an empty
 * module in its place. It goes again once the driver is loaded: whoever else wants the real one gets it.
 */
export const restore = replaced()

function replaced(): () => void {
  const { resolve } = createRequire(import.meta.url)
  try {
    const ofDriver = createRequire(resolve('mssql')).resolve
    const { resolve: ofTedious, cache } = createRequire(ofDriver('tedious'))
    const path = ofTedious('@azure/identity')
    if (cache[path] !== undefined) return () => {}
    cache[path] = {
      id: path,
      filename: path,
      path,
      loaded: true,
      exports: {},
      children: [],
      paths: [],
    } as unknown as NodeModule
    return () => {
      if (cache[path]?.children.length === 0) delete cache[path]
    }
  } catch {
    // Where it is not installed, or not there, it is loaded as tedious finds it.
    return () => {}
  }
}
