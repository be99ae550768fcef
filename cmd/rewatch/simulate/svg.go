package simulate

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"

	"rewatch/policy/simulate"
)

// The picture: one row for each scenario, the users without a subscription on the
// left, what rewatch sent on the right. The time of a hold is shaded in both.
const (
	svgWidth   = 1080
	svgMargin  = 24
	rowHeight  = 236
	chartTop   = 62
	chartDeep  = 124
	chartWide  = 448
	chartLeft  = 76
	chartRight = 584
)

// svgStyle has a light and a dark scheme, so that the picture fits the page that embeds it.
const svgStyle = `
  svg { --card:#ffffff; --ink:#1f2328; --faint:#656d76; --grid:#d8dee4; --hold:#8c959f33;
        --broken:#cf222e; --message:#0969da; --signout:#8250df;
        font: 12px system-ui, -apple-system, "Segoe UI", sans-serif }
  @media (prefers-color-scheme: dark) {
  svg { --card:#0d1117; --ink:#e6edf3; --faint:#8d96a0; --grid:#30363d; --hold:#8c959f40;
        --broken:#ff7b72; --message:#58a6ff; --signout:#bc8cff } }
  text { fill: var(--ink) } .faint { fill: var(--faint) } .right { text-anchor: end } .mid { text-anchor: middle }
  .title { font-size: 15px; font-weight: 600 } .head { font-size: 18px; font-weight: 600 }
  .grid { stroke: var(--grid); stroke-width: 1 } .hold { fill: var(--hold) }
  .area { stroke-width: 1.5; stroke-linejoin: round; fill-opacity: .16 }
  .broken { stroke: var(--broken); fill: var(--broken) } text.broken { stroke: none }
  .message { stroke: var(--message); fill: var(--message) } text.message { stroke: none }
  .signout { stroke: var(--signout); fill: var(--signout) } text.signout { stroke: none }
`

// drawScenes draws the picture.
func drawScenes(scenes []scene) string {
	const head = 72
	height := head + rowHeight*len(scenes)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="rewatch simulate">`+"\n",
		svgWidth, height, svgWidth, height)
	fmt.Fprintf(&b, "<style>%s</style>\n", svgStyle)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" rx="8" fill="var(--card)"/>`+"\n", svgWidth, height)
	fmt.Fprintf(&b, `<text class="head" x="%d" y="32">rewatch simulate</text>`+"\n", svgMargin)
	fmt.Fprintf(&b, `<text class="faint" x="%d" y="52">%s</text>`+"\n", svgMargin, html.EscapeString(worldLine(scenes[0].Config)))
	for i, s := range scenes {
		fmt.Fprintf(&b, `<g transform="translate(0,%d)">`+"\n", head+i*rowHeight)
		drawScene(&b, s)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func drawScene(b *strings.Builder, s scene) {
	fmt.Fprintf(b, `<text class="title" x="%d" y="20">%s <tspan class="faint" font-weight="400">%s</tspan></text>`+"\n",
		svgMargin, s.Name, html.EscapeString(s.Summary))
	left := chart{b: b, x: chartLeft, series: s.Series}
	right := chart{b: b, x: chartRight, series: s.Series}
	for _, c := range []chart{left, right} {
		c.shadeHolds()
		c.timeAxis(s.Config.Duration)
	}
	left.caption("broken", fmt.Sprintf("users without a subscription: %s; p50 %s, p99 %s",
		thousands(s.Broken), readableTime(s.P50), readableTime(s.P99)), 0)
	left.area("broken", func(t simulate.Second) int { return t.Broken })
	right.caption("message", "MESSAGE/s", 0)
	right.area("message", func(t simulate.Second) int { return t.Messages })
	if s.Deregisters > 0 {
		right.caption("signout", fmt.Sprintf("de-REGISTER/s, on the same scale: %s in all, %s wrongly", thousands(s.Deregisters), thousands(s.Wrong)), 72)
		right.line("signout", func(t simulate.Second) int { return t.Deregisters }, s.PeakMessages)
		return
	}
	right.caption("faint", "no de-REGISTER", 72)
}

// chart is one of the two fields of a row.
type chart struct {
	b      *strings.Builder
	x      int
	series []simulate.Second
}

func (c chart) caption(class, text string, indent int) {
	fmt.Fprintf(c.b, `<text class="%s" x="%d" y="48">%s</text>`+"\n", class, c.x+indent, html.EscapeString(text))
}

// bins gives the greatest value of each stretch of time, one for every two pixels.
func (c chart) bins(of func(simulate.Second) int) []int {
	n := min(len(c.series), chartWide/2)
	bins := make([]int, n)
	for i, s := range c.series {
		k := i * n / len(c.series)
		bins[k] = max(bins[k], of(s))
	}
	return bins
}

// area draws a filled curve with its own scale.
func (c chart) area(class string, of func(simulate.Second) int) {
	bins := c.bins(of)
	top := niceTop(bins)
	for _, part := range []int{0, 1, 2} {
		y := chartTop + chartDeep - chartDeep*part/2
		fmt.Fprintf(c.b, `<line class="grid" x1="%d" x2="%d" y1="%d" y2="%d"/>`, c.x, c.x+chartWide, y, y)
		fmt.Fprintf(c.b, `<text class="faint right" x="%d" y="%d">%s</text>`+"\n", c.x-6, y+4, shortNumber(top*float64(part)/2))
	}
	fmt.Fprintf(c.b, `<path class="area %s" d="M%d %d`, class, c.x, chartTop+chartDeep)
	c.points(bins, top)
	fmt.Fprintf(c.b, ` L%d %d Z"/>`+"\n", c.x+chartWide, chartTop+chartDeep)
}

// line draws a curve on the scale of another one.
func (c chart) line(class string, of func(simulate.Second) int, scale int) {
	bins := c.bins(of)
	top := niceTop([]int{scale})
	first := c.x + chartWide/(2*max(len(bins), 1))
	fmt.Fprintf(c.b, `<path class="area %s" style="fill:none" d="M%d %d`, class, first, chartTop+chartDeep)
	c.points(bins, top)
	c.b.WriteString(`"/>` + "\n")
}

func (c chart) points(bins []int, top float64) {
	for i, v := range bins {
		x := float64(c.x) + float64(chartWide)*(float64(i)+0.5)/float64(len(bins))
		y := float64(chartTop+chartDeep) - chartDeep*min(1, float64(v)/top)
		fmt.Fprintf(c.b, " L%.1f %.1f", x, y)
	}
}

// shadeHolds shades the time in which a replica held a hop.
func (c chart) shadeHolds() {
	bins := c.bins(func(s simulate.Second) int { return s.Held })
	for i := 0; i < len(bins); i++ {
		if bins[i] == 0 {
			continue
		}
		from := i
		for i < len(bins) && bins[i] > 0 {
			i++
		}
		width := float64(chartWide) / float64(len(bins))
		fmt.Fprintf(c.b, `<rect class="hold" x="%.1f" y="%d" width="%.1f" height="%d"><title>held</title></rect>`+"\n",
			float64(c.x)+float64(from)*width, chartTop, float64(i-from)*width, chartDeep)
	}
}

// timeAxis writes the time below the chart.
func (c chart) timeAxis(d time.Duration) {
	every := niceTime(d / 6)
	for t := time.Duration(0); t <= d; t += every {
		x := c.x + int(float64(chartWide)*float64(t)/float64(d))
		label := "0"
		if t > 0 {
			label = readableTime(t)
		}
		fmt.Fprintf(c.b, `<text class="faint mid" x="%d" y="%d">%s</text>`+"\n", x, chartTop+chartDeep+18, label)
	}
}

// niceTime rounds up to a time that reads well on an axis.
func niceTime(d time.Duration) time.Duration {
	for _, nice := range []time.Duration{
		time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute,
		5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
	} {
		if nice >= d {
			return nice
		}
	}
	return 24 * time.Hour
}

// niceTop rounds the greatest value up to an even number of few digits, 2 at least, so that the middle
// of the scale is a whole number.
func niceTop(bins []int) float64 {
	most := 2.0
	for _, v := range bins {
		most = max(most, float64(v))
	}
	power := math.Pow(10, math.Floor(math.Log10(most)))
	for _, f := range []float64{1, 2, 4, 6, 8} {
		if f*power >= most {
			return f * power
		}
	}
	return 10 * power
}

// shortNumber writes the labels of a scale.
func shortNumber(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%gk", v/1e3)
	default:
		return thousands(int(v))
	}
}
