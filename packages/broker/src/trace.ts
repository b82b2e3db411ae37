import type { SyncEvent } from '@clinic-sync/contracts'
import { DatabaseError, SyncError } from '@clinic-sync/sync'
import {
  type Attributes,
  context,
  type Context,
  createTraceState,
  isSpanContextValid,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { EVENTS } from './topology.ts'

/**
 * Spans by OpenTelemetry's API alone: they exist where an SDK is registered in the process, and are no-ops elsewhere. Names and
 * attributes follow its conventions for messaging; keys and counts only, never a value or a driver's message.
 */
const tracer = () => trace.getTracer('clinic-sync')

/** Our headers, and fields of the event's envelope, in W3C's format, whatever else the SDK propagates. */
export interface TraceFields {
  traceparent?: string
  tracestate?: string
}

/** A message whose headers may carry a trace. */
interface Carrying {
  readonly message: { readonly properties: { readonly headers?: Readonly<Record<string, unknown>> | undefined } }
}

/** Runs `work` in a span, which is active meanwhile. What it throws is marked by its code, and thrown on. */
export async function inSpan<T>(
  name: string,
  options: SpanOptions,
  work: () => Promise<T>,
  parent: Context = context.active(),
): Promise<T> {
  const span = tracer().startSpan(name, options, parent)
  try {
    return await context.with(trace.setSpan(parent, span), work)
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR })
    span.setAttribute('error.type', typeOf(error))
    throw error
  } finally {
    span.end()
  }
}

/**
 * Publishes events in a `publish` span. Each gets a `create` span of its own, whose context travels with it: in its envelope
 * and, by `traceFieldsOf`, in its headers.
 */
export async function publishTraced(
  events: readonly SyncEvent[],
  publish: (events: readonly SyncEvent[]) => Promise<void>,
): Promise<void> {
  const created: SyncEvent[] = []
  const links: Link[] = []
  for (const event of events) {
    const span = createSpan(event)
    const fields = fieldsOf(span.spanContext())
    span.end()
    // No SDK is registered: nothing of it for the others either.
    if (fields.traceparent === undefined) return publish(events)
    created.push({ ...event, ...fields })
    links.push({ context: span.spanContext() })
  }
  if (created.length === 0) return publish(events)
  const attributes = messaging('publish', 'send', { 'messaging.batch.message_count': events.length })
  await inSpan(`publish ${EVENTS}`, { kind: SpanKind.CLIENT, attributes, links }, () => publish(created))
}

const createSpan = ({ id }: SyncEvent): Span =>
  tracer().startSpan(`create ${EVENTS}`, {
    kind: SpanKind.PRODUCER,
    attributes: messaging('create', 'create', { 'messaging.message.id': id }),
  })

/**
 * Works on delivered messages in a `process` span. A single message's trace goes on in it; several are linked to it, since a span
 * has one parent.
 *
 * @param from what the messages were consumed from, such as `sync.sql-to-postgres`
 */
export function processTraced<T>(messages: readonly Carrying[], from: string, work: () => Promise<T>): Promise<T> {
  const links = messages.flatMap((message) => linkOf(message) ?? [])
  const [only] = links
  const parent =
    messages.length === 1 && only !== undefined ? trace.setSpanContext(ROOT_CONTEXT, only.context) : ROOT_CONTEXT
  const attributes = messaging('process', 'process', {
    'messaging.batch.message_count': messages.length,
    'messaging.destination.subscription.name': from,
  })
  return inSpan(`process ${from}`, { kind: SpanKind.CONSUMER, attributes, links }, work, parent)
}

/** The trace that an event's envelope carries, as headers. */
export const traceFieldsOf = ({ traceparent, tracestate }: TraceFields): TraceFields => ({
  ...(traceparent !== undefined && { traceparent }),
  ...(tracestate !== undefined && { tracestate }),
})

/** The active span, as headers; empty where there is none. */
export function activeTrace(): TraceFields {
  const active = trace.getSpanContext(context.active())
  return active === undefined ? {} : fieldsOf(active)
}

function messaging(name: string, type: string, more: Attributes): Attributes {
  return {
    'messaging.system': 'rabbitmq',
    'messaging.operation.name': name,
    'messaging.operation.type': type,
    'messaging.destination.name': EVENTS,
    ...more,
  }
}

function fieldsOf(spanContext: SpanContext): TraceFields {
  if (!isSpanContextValid(spanContext)) return {}
  const { traceId, spanId, traceFlags, traceState } = spanContext
  const state = traceState?.serialize()
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
    ...(state !== undefined && state !== '' && state.length <= 512 && { tracestate: state }),
  }
}

/** W3C trace context, level 1; what is not valid counts as absent. */
function linkOf({ message }: Carrying): Link | null {
  const { traceparent, tracestate } = message.properties.headers ?? {}
  if (typeof traceparent !== 'string') return null
  const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return null
  const spanContext: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & 1,
    isRemote: true,
    ...(typeof tracestate === 'string' && tracestate.length <= 512 && { traceState: createTraceState(tracestate) }),
  }
  return isSpanContextValid(spanContext) ? { context: spanContext } : null
}

/** A SQLSTATE, an error number, one of our codes, or a class of Node's. */
function typeOf(error: unknown): string {
  if (error instanceof DatabaseError) return error.number ?? error.code
  if (error instanceof SyncError) return error.code
  return error instanceof Error ? error.name : '_OTHER'
}
