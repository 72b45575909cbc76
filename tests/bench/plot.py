"""Plots on two logarithmic axes as SVG, with nothing but text."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, KEY = 330, 240, 60, 40, 170
COLOURS = ["#1f5fa8", "#c2502a", "#3a8a3f", "#7a4ca0", "#8a6d1f", "#5a5a5a"]


def decades(values):
    """The whole powers of ten around the values."""
    values = [value for value in values if value > 0] or [1]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def number(power):
    return f"{10 ** power:,}" if power >= 0 else f"{10 ** power:.{-power}f}"


class Panel:
    def __init__(self, title, lines, x_title, column, row):
        self.title, self.lines, self.x_title = title, [line for line in lines if line[1]], x_title
        self.left = LEFT + column * (WIDTH + LEFT + KEY)
        self.top = TOP + row * (HEIGHT + 2 * TOP)
        points = [point for _, line in self.lines for point in line]
        self.xs = decades([x for x, _ in points])
        self.ys = decades([y for _, y in points])

    def x(self, value):
        low, high = self.xs
        return self.left + (math.log10(value) - low) / (high - low) * WIDTH

    def y(self, value):
        low, high = self.ys
        part = (math.log10(max(value, 10 ** low)) - low) / (high - low)
        return self.top + HEIGHT * (1 - part)

    def frame(self):
        yield f'<rect x="{self.left}" y="{self.top}" width="{WIDTH}" height="{HEIGHT}" ' \
            'fill="none" stroke="#999"/>'
        yield f'<text x="{self.left}" y="{self.top - 10}" font-weight="bold">' \
            f'{escape(self.title)}</text>'
        for power in range(self.xs[0], self.xs[1] + 1):
            at = self.x(10 ** power)
            yield f'<line x1="{at:.1f}" y1="{self.top}" x2="{at:.1f}" ' \
                f'y2="{self.top + HEIGHT}" stroke="#ddd"/>'
            yield f'<text x="{at:.1f}" y="{self.top + HEIGHT + 15}" text-anchor="middle">' \
                f'{number(power)}</text>'
        for power in range(self.ys[0], self.ys[1] + 1):
            at = self.y(10 ** power)
            yield f'<line x1="{self.left}" y1="{at:.1f}" x2="{self.left + WIDTH}" ' \
                f'y2="{at:.1f}" stroke="#ddd"/>'
            yield f'<text x="{self.left - 6}" y="{at + 4:.1f}" text-anchor="end">' \
                f'{number(power)}</text>'
        yield f'<text x="{self.left + WIDTH / 2}" y="{self.top + HEIGHT + 30}" ' \
            f'text-anchor="middle">{escape(self.x_title)}</text>'

    def curves(self):
        for i, (name, points) in enumerate(self.lines):
            colour = COLOURS[i % len(COLOURS)]
            places = [(self.x(x), self.y(y)) for x, y in points]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
            for x, y in places:
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>'
            at = self.top + 12 + 16 * i
            yield f'<rect x="{self.left + WIDTH + 10}" y="{at - 8}" width="10" height="10" ' \
                f'fill="{colour}"/>'
            yield f'<text x="{self.left + WIDTH + 25}" y="{at}">{escape(name)}</text>'


def svg(panels, x_title):
    """panels: (title, [(name of a line, [(x, y)])]), two beside each other."""
    made = [Panel(title, lines, x_title, i % 2, i // 2) for i, (title, lines) in enumerate(panels)]
    width = 2 * (LEFT + WIDTH + KEY)
    height = (len(made) + 1) // 2 * (HEIGHT + 2 * TOP) + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for panel in made:
        out += [*panel.frame(), *panel.curves()]
    return "\n".join(out + ["</svg>"]) + "\n"
