/** What of JSON Schema our definitions use; `validatorFor` refuses any other keyword. */
export interface Schema {
  readonly [keyword: string]: unknown
  readonly type?: 'string' | 'integer' | 'boolean' | 'null' | 'object' | 'array'
  readonly anyOf?: readonly Schema[]
  readonly const?: string | boolean
  readonly enum?: readonly string[]
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly patternProperties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: false
}

/** Where a value is wrong: `/data/key`, or '' for the value itself. */
export interface Wrong {
  readonly instancePath: string
}

/** `Check` narrows; `Errors` names the fields, and is for a value that `Check` has refused. */
export interface Validator<T> {
  Check(value: unknown): value is T
  Errors(value: unknown): readonly Wrong[]
}

type Test = (value: unknown) => boolean
/** The parts of a value that have a schema of their own. */
type Parts = (value: object) => Iterable<readonly [key: string, part: unknown, check: Checked]>

/** A schema, ready to be asked. `self`: without its parts. */
interface Checked {
  readonly test: Test
  readonly self: Test
  readonly parts?: Parts
  readonly branches?: readonly Checked[]
}

const KEYWORDS = new Set(
  'type anyOf const enum minLength maxLength pattern minimum maximum items minItems maxItems required properties patternProperties additionalProperties'.split(
    ' ',
  ),
)

/**
 * Checks values against a schema, with closures that are made once.
 *
 * Not by TypeBox itself, with which the schemas are defined: its 683 modules took 150 ms and more of each service's start, and 18 MB of
 * its memory. A test holds both against each other.
 *
 * @throws RangeError for a keyword that is not known here
 */
export function validatorFor<T>(schema: unknown): Validator<T> {
  const checked = compile(schema as Schema)
  return {
    Check: (value): value is T => checked.test(value),
    Errors: (value) => [...new Set(wrongIn(checked, value, ''))].map((instancePath) => ({ instancePath })),
  }
}

/** A union complains with what each of its branches dislikes, and of the value itself. */
function wrongIn({ test, self, parts, branches }: Checked, value: unknown, path: string): string[] {
  if (test(value)) return []
  if (branches !== undefined) return [...branches.flatMap((branch) => wrongIn(branch, value, path)), path]
  const within =
    parts === undefined || typeof value !== 'object' || value === null
      ? []
      : [...parts(value)].flatMap(([key, part, check]) => wrongIn(check, part, `${path}/${pointer(key)}`))
  return self(value) ? within : [path, ...within]
}

/** A name within a JSON pointer (RFC 6901). */
const pointer = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1')

/** A field that must not be there. */
const NOTHING: Checked = { test: () => false, self: () => false }

function compile(schema: Schema): Checked {
  for (const keyword of Object.keys(schema))
    if (!KEYWORDS.has(keyword)) throw new RangeError(`validators do not know ${keyword}`)
  if (schema.anyOf !== undefined) return union(schema.anyOf.map(compile))
  if (schema.type === 'object') return object(schema)
  if (schema.type === 'array') return array(schema)
  const self = scalar(schema)
  return { test: self, self }
}

function union(branches: readonly Checked[]): Checked {
  const tests = branches.map(({ test }) => test)
  const test: Test = (value) => {
    for (const each of tests) if (each(value)) return true
    return false
  }
  return { test, self: test, branches }
}

function scalar({ type, const: one, enum: several, ...limits }: Schema): Test {
  if (one !== undefined) return (value) => value === one
  if (several !== undefined) return (value) => several.includes(value as string)
  if (type === 'string') return text(limits)
  if (type === 'boolean') return (value) => typeof value === 'boolean'
  if (type === 'null') return (value) => value === null
  if (type !== 'integer') throw new RangeError('validators do not know a schema without a type')
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = limits
  return (value) => Number.isInteger(value) && (value as number) >= minimum && (value as number) <= maximum
}

function text({ minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern }: Schema): Test {
  const form = pattern === undefined ? null : new RegExp(pattern, 'u')
  // JSON Schema counts code points, of which a string has half its length at least.
  const fits = (value: string) => {
    const { length } = value
    if (length < minLength) return false
    if (length <= maxLength && length >= 2 * minLength) return true
    if (length > 2 * maxLength) return false
    const points = [...value].length
    return points >= minLength && points <= maxLength
  }
  return (value) => typeof value === 'string' && fits(value) && (form === null || form.test(value))
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function object({ required = [], properties = {}, patternProperties = {}, additionalProperties }: Schema): Checked {
  const fields = Object.entries(properties).map(([key, schema]) => [key, compile(schema)] as const)
  const patterns = Object.entries(patternProperties).map(
    ([pattern, schema]) => [new RegExp(pattern, 'u'), compile(schema)] as const,
  )
  const optional = new Set(fields.map(([key]) => key).filter((key) => !required.includes(key)))
  const self: Test = (value) => {
    if (!isRecord(value)) return false
    for (const key of required) if (!(key in value)) return false
    if (additionalProperties === false)
      for (const key of Object.keys(value)) if (!Object.hasOwn(properties, key)) return false
    return true
  }
  const test: Test = (value) => {
    if (!self(value)) return false
    const record = value as Record<string, unknown>
    for (const [key, check] of fields) {
      const part = record[key]
      if (!check.test(part) && (part !== undefined || !optional.has(key))) return false
    }
    for (const [pattern, check] of patterns)
      for (const key in record) if (pattern.test(key) && !check.test(record[key])) return false
    return true
  }
  const parts: Parts = function* (value) {
    const record = value as Record<string, unknown>
    if (Array.isArray(value)) return
    for (const [key, check] of fields) if (record[key] !== undefined || key in record) yield [key, record[key], check]
    for (const [pattern, check] of patterns)
      for (const key of Object.keys(record)) if (pattern.test(key)) yield [key, record[key], check]
    if (additionalProperties !== false) return
    for (const key of Object.keys(record)) if (!Object.hasOwn(properties, key)) yield [key, record[key], NOTHING]
  }
  return { test, self, parts }
}

function array({ items = {}, minItems = 0, maxItems = Number.POSITIVE_INFINITY }: Schema): Checked {
  const check = compile(items)
  const self: Test = (value) => Array.isArray(value) && value.length >= minItems && value.length <= maxItems
  const test: Test = (value) => self(value) && (value as unknown[]).every(check.test)
  const parts: Parts = function* (value) {
    if (!Array.isArray(value)) return
    for (const [index, part] of value.entries()) yield [String(index), part, check]
  }
  return { test, self, parts }
}
