import { restore } from './without-azure.ts'
// In this order: the driver is evaluated after what it is to find.
import sql from 'mssql'

restore()

export default sql
