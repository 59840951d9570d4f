package jupyterlab

import (
	"fmt"
	"strings"
)

// layoutFaults is JavaScript that lists what a reader would see as broken in
// the outputs that the selector finds.
const layoutFaults = `((selector) => {
  const faults = [];
  const visible = e => e.getClientRects().length > 0;
  const inside = (a, b, slack) => a.left >= b.left - slack && a.right <= b.right + slack && a.top >= b.top - slack && a.bottom <= b.bottom + slack;
  const say = (what, e) => faults.push(what + ': ' + e.textContent.slice(0, 60));

  // Contrast by WCAG 2.1. A canvas turns any CSS colour into bytes.
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return Array.from(canvas.getImageData(0, 0, 1, 1).data);
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] / 255 + below[i] * (1 - top[3] / 255));
  const luminance = c => c.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const background = e => {
    const layers = [];
    for (let n = e; n; n = n.parentElement) layers.push(rgba(getComputedStyle(n).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const legible = (e, colour, paper) => {
    const c = contrast(over(rgba(colour), paper), paper);
    if (c < 3) say('contrast ' + c.toFixed(1), e);
  };

  for (const area of document.querySelectorAll(selector)) {
    for (const svg of area.querySelectorAll('svg.l-svg')) {
      if (!visible(svg)) continue;
      const frame = svg.getBoundingClientRect(), paper = background(svg);
      for (const text of svg.querySelectorAll('text')) {
        if (!inside(text.getBoundingClientRect(), frame, 2)) say('text outside its picture', text);
        const box = text.parentElement.matches('.n') ? text.parentElement.querySelector('rect') : null;
        if (box && !inside(text.getBoundingClientRect(), box.getBoundingClientRect(), 1)) say('label outside its box', text);
        const under = box ? over(rgba(getComputedStyle(box).fill), paper) : paper;
        legible(text, getComputedStyle(text).fill, under);
      }
      const boxes = Array.from(svg.querySelectorAll('.n > rect:first-of-type')).map(r => r.getBoundingClientRect());
      boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
        if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) faults.push('two nodes overlap');
      }));
    }
    for (const cell of area.querySelectorAll('td, th, pre')) {
      if (visible(cell) && cell.textContent.trim()) legible(cell, getComputedStyle(cell).color, background(cell));
    }
    for (const cell of area.querySelectorAll('.l-t td, .l-t th')) {
      const text = visible(cell) && document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode();
      if (!text) continue;
      for (const word of text.data.matchAll(/(?<!\S)\S{1,24}(?!\S)/g)) {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        if (new Set(Array.from(range.getClientRects()).map(r => Math.round(r.top))).size > 1) say('a word broken in two, ' + word[0], cell);
      }
    }
    for (const part of area.querySelectorAll('.loris')) {
      if (visible(part) && part.scrollWidth > part.clientWidth + 1) say('wider than its output', part);
    }
    for (const img of area.querySelectorAll('img')) {
      if (!img.complete || img.naturalWidth === 0) faults.push('a picture that does not load');
    }
  }
  return faults;
})`

// checkLayout reports what is broken in the outputs that selector finds.
func (p *page) checkLayout(where, selector string) {
	p.t.Helper()
	for _, fault := range get[[]string](p, fmt.Sprintf("%s(%q)", layoutFaults, selector)) {
		p.t.Errorf("%s: %s", where, fault)
	}
	text := get[string](p, fmt.Sprintf(`Array.from(document.querySelectorAll(%q)).map(e => e.innerText).join('\n')`, selector))
	for _, wrong := range []string{"op(", "%!", "<nil>", "undefined", "[object", "NaN"} {
		for _, line := range strings.Split(text, "\n") {
			// A compile error may well say that a name is undefined.
			if strings.Contains(line, wrong) && !strings.Contains(line, "undefined: ") {
				p.t.Errorf("%s: an output shows %q: %s", where, wrong, line)
			}
		}
	}
}
