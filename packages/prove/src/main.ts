throw new Error('not written yet')
