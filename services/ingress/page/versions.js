import { ask, reasonOf } from './api.js'
import { byId, el, onPress, say } from './dom.js'

/** @import { Versions } from './types.d.ts' */

export function startVersions() {
  onPress(byId('versions-show', HTMLButtonElement), async () => {
    try {
      /** @type {Versions} */
      const { version, node, migrations, rabbitmq } = await ask('/versions')
      const facts = [
        ['clinic-sync', version],
        ['Node.js', node],
        ['RabbitMQ', rabbitmq],
        ['Last migration, clinic', migrations.clinic],
        ['Last migration, portal', migrations.portal],
      ]
      byId('versions').replaceChildren(
        ...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value ?? 'not known now')]),
      )
      say(byId('versions-result'), '')
    } catch (error) {
      say(byId('versions-result'), reasonOf(error), 'bad')
    }
  })
}
