package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot is a picture of panels side by side, with one legend.
type plot struct {
	title, xAxis, yAxis string
	panels              []panel
}

// panel is one diagram. Its rates are on a linear axis, because capacity is what
// the eye compares there; its times are on a logarithmic one.
type panel struct {
	title  string
	curves []curve
}

const (
	panelWidth, panelHeight = 380., 260.
	marginLeft, marginTop   = 70., 84.
	gap, below              = 70., 58.
)

// style follows the colour scheme of the reader; the background stays clear. The
// colours are told apart by those who do not see all of them, and so are the
// dashes.
const style = `<style>
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#57606a}
.title{font-size:15px;font-weight:600;fill:#24292f}.panel{font-weight:600;fill:#24292f}
.grid{stroke:#8c959f;stroke-opacity:.25}.axis{stroke:#8c959f}
path{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.relay{stroke:#8c959f}.rewatch{stroke:#0969da;stroke-width:3}.kamailio{stroke:#bc4c00}.kamailio2{stroke:#bc4c00;stroke-dasharray:6 5}
circle.relay{fill:#8c959f}circle.rewatch{fill:#0969da}circle.kamailio,circle.kamailio2{fill:#bc4c00;stroke-dasharray:none}
@media(prefers-color-scheme:dark){text{fill:#9198a1}.title,.panel{fill:#f0f6fc}
.rewatch{stroke:#4493f8}circle.rewatch{fill:#4493f8}.kamailio,.kamailio2{stroke:#f0883e}circle.kamailio,circle.kamailio2{fill:#f0883e}}
</style>
`

// frame maps values to places of one panel.
type frame struct {
	left, top  float64
	maxX       float64
	minY, maxY float64 // powers of ten
}

func (f frame) x(v float64) float64 { return f.left + v/f.maxX*panelWidth }

func (f frame) y(v float64) float64 {
	share := (math.Log10(max(v, 1)) - f.minY) / (f.maxY - f.minY)
	return f.top + (1-share)*panelHeight
}

func (p plot) svg() string {
	width := marginLeft + float64(len(p.panels))*(panelWidth+gap)
	height := marginTop + panelHeight + below
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`+"\n",
		width, height, html.EscapeString(p.title))
	b.WriteString(style)
	fmt.Fprintf(&b, `<text class="title" x="%.0f" y="24">%s</text>`+"\n", marginLeft, html.EscapeString(p.title))
	p.legend(&b)
	f := p.frame()
	for i, panel := range p.panels {
		f.left = marginLeft + float64(i)*(panelWidth+gap)
		p.draw(&b, f, panel)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// frame finds axes that hold all panels, so that these can be compared.
func (p plot) frame() frame {
	f := frame{top: marginTop, maxX: 1, minY: 9, maxY: 0}
	for _, panel := range p.panels {
		for _, c := range panel.curves {
			for _, pt := range c.points {
				f.maxX = max(f.maxX, pt.x)
				f.minY = min(f.minY, math.Floor(math.Log10(max(pt.y, 1))))
				f.maxY = max(f.maxY, math.Ceil(math.Log10(max(pt.y, 1))))
			}
		}
	}
	if f.maxY <= f.minY {
		f.minY, f.maxY = 0, 3
	}
	step := stepOf(f.maxX)
	f.maxX = math.Ceil(f.maxX/step) * step
	return f
}

// stepOf is a round distance of grid lines, of which there are about five.
func stepOf(most float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, k := range []float64{.1, .2, .5, 1} {
		if most/(unit*k) <= 6 {
			return unit * k
		}
	}
	return unit * 2
}

func (p plot) legend(b *strings.Builder) {
	if len(p.panels) == 0 {
		return
	}
	x := marginLeft
	for _, c := range p.panels[0].curves {
		fmt.Fprintf(b, `<path class="%s" d="M%.0f 44h26"/><text x="%.0f" y="48">%s</text>`+"\n", c.class, x, x+34, html.EscapeString(c.name))
		x += 34 + 24 + 7*float64(len(c.name))
	}
}

func (p plot) draw(b *strings.Builder, f frame, panel panel) {
	bottom := f.top + panelHeight
	fmt.Fprintf(b, `<text class="panel" x="%.1f" y="%.1f">%s</text>`+"\n", f.left, f.top-12, html.EscapeString(panel.title))
	for e := f.minY; e <= f.maxY; e++ {
		y := f.y(math.Pow(10, e))
		fmt.Fprintf(b, `<path class="grid" style="stroke-width:1" d="M%.1f %.1fh%.1f"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			f.left, y, panelWidth, f.left-8, y+4, thousands(int(math.Pow(10, e))))
	}
	step := stepOf(f.maxX)
	for v := 0.; v <= f.maxX*1.001; v += step {
		x := f.x(v)
		fmt.Fprintf(b, `<path class="grid" style="stroke-width:1" d="M%.1f %.1fv%.1f"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
			x, f.top, panelHeight, x, bottom+18, thousands(int(v)))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", f.left+panelWidth/2, bottom+40, html.EscapeString(p.xAxis))
	fmt.Fprintf(b, `<text transform="translate(%.1f %.1f) rotate(-90)" text-anchor="middle">%s</text>`+"\n",
		f.left-54, f.top+panelHeight/2, html.EscapeString(p.yAxis))
	for _, c := range panel.curves {
		f.line(b, c)
	}
}

// line draws a curve with a dot for every measurement.
func (f frame) line(b *strings.Builder, c curve) {
	var d strings.Builder
	for i, pt := range c.points {
		if i == 0 {
			d.WriteString("M")
		} else {
			d.WriteString("L")
		}
		fmt.Fprintf(&d, "%.1f %.1f", f.x(pt.x), f.y(pt.y))
	}
	fmt.Fprintf(b, `<path class="%s" d="%s"/>`+"\n", c.class, d.String())
	for _, pt := range c.points {
		fmt.Fprintf(b, `<circle class="%s" r="2.5" cx="%.1f" cy="%.1f"/>`+"\n", c.class, f.x(pt.x), f.y(pt.y))
	}
}
