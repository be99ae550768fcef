package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"rewatch/integration/load"
)

// The check against SIPp: another program, written by others, has to count what
// the generator counts.
const (
	sippCalls = 5000
	sippRate  = 1000
)

// checkSIPp lets a SIPp UAS answer the generator, and a SIPp UAC call it.
func checkSIPp(ctx context.Context, l *lab, out io.Writer) error {
	for name, text := range map[string]string{"uas.xml": sippUAS, "uac.xml": sippUAC} {
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return errors.Join(sippAnswers(ctx, l, out), sippCallsUs(ctx, l, out))
}

// sippAnswers: the generator sends NOTIFYs, each in a dialog of its own, because
// SIPp knows calls and not dialogs, and SIPp answers.
func sippAnswers(ctx context.Context, l *lab, out io.Writer) error {
	net := load.Net("127.203.1")
	gen, err := load.Open(load.Config{Net: net, Network: "udp", Target: load.Target{
		CoreSide: net.CoreSide(), ServerSide: net.ServerSide(), Transparent: true,
	}})
	if err != nil {
		return err
	}
	defer gen.Close()
	sipp, err := l.sipp("uas", net.ServerSide(), "-m", strconv.Itoa(sippCalls))
	if err != nil {
		return err
	}
	defer sipp.stop()
	if err := sipp.await(ctx, "sipp", gen, func() bool { return load.Listening("udp", net.ServerSide()) }); err != nil {
		return err
	}
	res, err := gen.Run(ctx, load.Phase{Kind: load.Notify, Rate: sippRate, Count: sippCalls, Dialogs: sippCalls})
	if err != nil {
		return err
	}
	stat, err := l.sippStat(ctx, sipp, "uas")
	if err != nil {
		return err
	}
	say(out, "SIPp answers the generator: %s; SIPp: %d calls, %d successful, %d failed\n",
		res.Counts, stat.calls, stat.good, stat.failed)
	if res.Sent != stat.calls || res.Answered != stat.good || !res.Clean() || stat.failed != 0 {
		return fmt.Errorf("the counts differ\n%s", res.Sample)
	}
	return nil
}

// sippCallsUs: SIPp sends NOTIFYs, the generator answers.
func sippCallsUs(ctx context.Context, l *lab, out io.Writer) error {
	net := load.Net("127.203.2")
	gen, err := load.Open(load.Config{Net: net, Network: "udp", Target: load.Target{
		CoreSide: net.CoreSide(), ServerSide: net.ServerSide(), Transparent: true,
	}})
	if err != nil {
		return err
	}
	defer gen.Close()
	sipp, err := l.sipp("uac", net.CoreSide(),
		"-m", strconv.Itoa(sippCalls), "-r", strconv.Itoa(sippRate), net.Core().String())
	if err != nil {
		return err
	}
	defer sipp.stop()
	end := time.Now().Add(time.Minute)
	n, err := gen.Idle(ctx, func() bool { return sipp.exited() || time.Now().After(end) })
	if err != nil {
		return err
	}
	stat, err := l.sippStat(ctx, sipp, "uac")
	if err != nil {
		return err
	}
	say(out, "SIPp calls the generator: %d answered; SIPp: %d calls, %d successful, %d failed, %d retransmissions\n",
		n, stat.calls, stat.good, stat.failed, stat.repeated)
	if n != stat.calls || n != stat.good || stat.failed+stat.repeated != 0 {
		return errors.New("the counts differ")
	}
	return nil
}

func (l *lab) sipp(role string, at netip.AddrPort, more ...string) (*process, error) {
	args := append([]string{
		"-sf", filepath.Join(l.dir, role+".xml"), "-i", at.Addr().String(), "-p", strconv.Itoa(int(at.Port())), "-nostdin",
		"-trace_stat", "-stf", filepath.Join(l.dir, role+".csv"), "-fd", "1", "-buff_size", "4194304",
		"-timeout", "60",
	}, more...)
	return startProcess([]string{"TERM=dumb"}, "sipp", args...)
}

// sippCounts are the totals of SIPp.
type sippCounts struct{ calls, good, failed, repeated int }

// sippStat waits for the end of SIPp and reads the last line of its statistics.
func (l *lab) sippStat(ctx context.Context, p *process, role string) (c sippCounts, err error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return c, ctx.Err()
	case <-time.After(20 * time.Second):
		return c, fmt.Errorf("sipp %s does not end\n%s", role, p.log.String())
	}
	data, err := os.ReadFile(filepath.Join(l.dir, role+".csv"))
	if err != nil {
		return c, fmt.Errorf("%w\n%s", err, p.log.String())
	}
	return readStat(data)
}

func readStat(data []byte) (c sippCounts, err error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma, r.FieldsPerRecord = ';', -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 2 {
		return c, fmt.Errorf("statistics of sipp: %d rows, %w", len(rows), err)
	}
	last := rows[len(rows)-1]
	for i, name := range rows[0] {
		if i >= len(last) {
			break
		}
		n, _ := strconv.Atoi(last[i])
		switch name {
		case "TotalCallCreated":
			c.calls = n
		case "SuccessfulCall(C)":
			c.good = n
		case "FailedCall(C)":
			c.failed = n
		case "Retransmissions(C)":
			c.repeated = n
		}
	}
	return c, nil
}
