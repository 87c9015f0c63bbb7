package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds every wait for something that will come, on a busy machine.
const patience = time.Minute

// binary builds the program as it is shipped, once a run. It lies next to the test binary, in a directory that the go
// command made and removes.
var binary = sync.OnceValues(func() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	program := filepath.Join(filepath.Dir(self), "latchkey-under-test")
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return program, nil
})

// process is the real program at work.
type process struct {
	cmd    *exec.Cmd
	out    transcript
	log    transcript
	exited chan struct{}

	url    string // where it answers, once it listens
	client *http.Client
}

// launch starts the program in dir with nothing in its environment but variables, a free port and, unless they say
// otherwise, the cheapest hashes. What still runs when the test ends is killed.
func launch(tb testing.TB, dir string, variables []string, args ...string) *process {
	tb.Helper()
	program, err := binary()
	require.NoError(tb, err)
	p := &process{cmd: exec.Command(program, args...), exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{"LATCHKEY_ADDR=127.0.0.1:0", "LATCHKEY_HASH_MEMORY=64", "LATCHKEY_HASH_ITERATIONS=1",
		"LATCHKEY_RATE_LIMIT=off", "LATCHKEY_PUBLIC_URL=http://latchkey.test"}, variables...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	transport := &http.Transport{MaxIdleConnsPerHost: 64, ExpectContinueTimeout: patience}
	p.client = &http.Client{Transport: transport, Timeout: patience}
	require.NoError(tb, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // ProcessState has it
		close(p.exited)
	}()
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			tb.Errorf("kill %s: %v", program, err)
		}
		<-p.exited
		if tb.Failed() {
			tb.Logf("the end of its log:\n%s", p.log.end())
		}
	})
	return p
}

// serve launches `latchkey serve` and waits until it listens.
func serve(tb testing.TB, variables []string, args ...string) *process {
	tb.Helper()
	return launch(tb, tb.TempDir(), variables, append([]string{"serve"}, args...)...).listening(tb)
}

func (p *process) listening(tb testing.TB) *process {
	tb.Helper()
	p.url = "http://" + p.awaitLog(tb, `msg=listening address=(\S+)`)[1]
	return p
}

// awaitLog waits for a line of the log and gives its submatches.
func (p *process) awaitLog(tb testing.TB, pattern string) []string {
	tb.Helper()
	return p.log.await(tb, pattern, p.exited)
}

// stop asks the program to end, as an orchestrator would, and wants it to end well.
func (p *process) stop(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(tb, p.exitCode(tb))
}

// exitCode waits for the program's end.
func (p *process) exitCode(tb testing.TB) int {
	tb.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		tb.Fatal("the program does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// transcript is what a program has written.
type transcript struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed by the next write; nil where nobody waits
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grown != nil {
		close(t.grown)
		t.grown = nil
	}
	return t.text.Write(b)
}

func (t *transcript) String() string {
	text, _ := t.look()
	return text
}

func (t *transcript) end() string {
	text := t.String()
	const enough = 6000
	return strings.TrimSpace(text[max(0, len(text)-enough):])
}

func (t *transcript) look() (text string, grown <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grown == nil {
		t.grown = make(chan struct{})
	}
	return t.text.String(), t.grown
}

// await waits for text that matches and gives its submatches; once ended is closed none will come.
func (t *transcript) await(tb testing.TB, pattern string, ended <-chan struct{}) []string {
	tb.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for last := false; ; {
		text, grown := t.look()
		if match := re.FindStringSubmatch(text); match != nil {
			return match
		}
		if last {
			tb.Fatalf("the program ended without %q:\n%s", pattern, t.end())
		}
		select {
		case <-grown:
		case <-ended:
			last = true // it may have written between the look and its end
		case <-timeout:
			tb.Fatalf("no %q:\n%s", pattern, t.end())
		}
	}
}
