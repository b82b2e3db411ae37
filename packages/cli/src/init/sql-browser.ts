import { createSocket } from 'node:dgram'

/** MS-SQLR 2.2.3: the question for one instance, which SQL Server Browser answers at UDP 1434. */
const ASK_ONE = 4
const PORT = 1434

/**
 * The TCP port of a named instance, as SQL Server Browser tells it.
 *
 * @throws Error where nobody answers within `ms`, or the instance takes no TCP
 */
export async function portOfInstance(host: string, instance: string, ms: number, port = PORT): Promise<number> {
  const socket = createSocket('udp4')
  let timer: NodeJS.Timeout | undefined
  try {
    const answer = await new Promise<Buffer>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('no answer')), ms)
      socket.once('error', reject)
      socket.once('message', resolve)
      socket.send(Buffer.concat([Buffer.from([ASK_ONE]), Buffer.from(`${instance}\0`, 'ascii')]), port, host)
    })
    // Three bytes, then `name;value;name;value;…;tcp;49172;;`.
    const words = answer.subarray(3).toString('latin1').split(';')
    const found = Number(words[words.indexOf('tcp') + 1])
    if (!words.includes('tcp') || !Number.isInteger(found) || found < 1) throw new Error('no TCP')
    return found
  } finally {
    clearTimeout(timer)
    socket.close()
  }
}
