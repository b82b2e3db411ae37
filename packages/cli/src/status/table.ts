/** Rows of cells as lines of equal columns. `right`: the columns, by index, whose cells are figures. */
export function tableLines(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, [...cell].length)
  return rows.map((row) =>
    row
      .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

/** A text in lines of at most `width` characters, the second and further ones indented. Blanks before it stay. */
export function wrapped(text: string, width: number, indent: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.trimStart().split(' ')) {
    if (line !== '' && line.length + word.length + 1 > width) {
      lines.push(line)
      line = `${indent}${word}`
    } else line = line === '' ? `${text.slice(0, text.length - text.trimStart().length)}${word}` : `${line} ${word}`
  }
  return [...lines, line]
}
