/**
 * Run in a page: text that is seen, and has less contrast with its ground than WCAG's level AA asks for: 4.5, or 3 where it is large.
 * Each as `text (3.2)`.
 */
export const TOO_FAINT = `(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = colour
    canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const ground = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor)
      if (colour[3] === 255) return colour
      if (colour[3] !== 0) throw new Error('a ground that shows through')
    }
    return [255, 255, 255, 255]
  }
  const found = new Set()
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement
    const text = node.textContent.trim()
    if (text === '' || !element.checkVisibility({ visibilityProperty: true }) || element.closest('.hidden-text')) continue
    const style = getComputedStyle(element)
    const isDrawn = element.namespaceURI.endsWith('svg')
    const colours = [light(rgba(isDrawn ? style.fill : style.color)), light(ground(element))].sort((a, b) => b - a)
    const contrast = (colours[0] + 0.05) / (colours[1] + 0.05)
    const size = parseFloat(style.fontSize)
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700)
    if (contrast < (large ? 3 : 4.5)) found.add(text.slice(0, 40) + ' (' + contrast.toFixed(2) + ')')
  }
  return [...found]
})()`
