package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// memory reads a figure of /proc/…/status (proc(5)) in MiB: VmRSS, what the program has in memory, or VmHWM, the most
// that it ever had.
func (p *process) memory(tb testing.TB, figure string) float64 {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(tb, err)
	match := regexp.MustCompile(figure + `:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(tb, match, "%s", status)
	kib, err := strconv.Atoi(string(match[1]))
	require.NoError(tb, err)
	return float64(kib) / 1024
}
