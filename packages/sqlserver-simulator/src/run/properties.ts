/** What the simulator says it is wherever it is asked. */
export const VERSION = 'clinic-sync simulator (a development stand-in for Microsoft SQL Server 2022; not SQL Server)'
export const PRODUCT_VERSION = '16.0.1000.6'
export const COLLATION = 'Arabic_CI_AS'

export function serverProperty(name: string): string | null {
  switch (name.toLowerCase()) {
    case 'productversion':
      return PRODUCT_VERSION
    case 'productmajorversion':
      return '16'
    case 'edition':
      return 'clinic-sync simulator'
    case 'engineedition':
      return '3'
    case 'collation':
      return COLLATION
    case 'servername':
      return 'SIMULATOR'
    default:
      // As SQL Server answers for names it does not know; so `Babelfish` is null here too.
      return null
  }
}
