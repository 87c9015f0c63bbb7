package smtptest

import (
	"context"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// Script is how a Scripted relay behaves. The zero value offers nothing and takes every mail.
type Script struct {
	GreetAfter time.Duration
	// Keywords are the lines of the answer to EHLO after the first, as they are sent.
	Keywords []string
	// StartTLS is the answer to STARTTLS. After a 220 the relay sends noise instead of a handshake.
	StartTLS string
	// AnswerAfter is how long the relay waits after the final dot. It took the mail by then.
	AnswerAfter time.Duration
	// HangUp closes the connection after the final dot, without an answer.
	HangUp bool
}

// Scripted is a relay that speaks SMTP by itself, to do what the library of Server does not. It is safe for concurrent
// use.
type Scripted struct {
	script  Script
	address string

	mu       sync.Mutex
	taken    int
	commands []string
}

// NewScripted starts a relay that ends with the test.
func NewScripted(tb testing.TB, script Script) *Scripted {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("smtptest: %v", err)
	}
	s := &Scripted{script: script, address: listener.Addr().String()}
	ended, end := context.WithCancel(context.Background())
	tb.Cleanup(func() {
		end()
		_ = listener.Close()
	})
	go func() {
		for {
			socket, err := listener.Accept()
			if err != nil {
				return
			}
			go s.converse(ended, socket)
		}
	}()
	return s
}

// URL is the relay's address, with a user or "".
func (s *Scripted) URL(user string) string {
	if user != "" {
		user += "@"
	}
	return "smtp://" + user + s.address
}

// Taken is how many mails the relay took.
func (s *Scripted) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// Commands are the verbs that the relay got, in order.
func (s *Scripted) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}

func (s *Scripted) converse(ended context.Context, socket net.Conn) {
	stop := context.AfterFunc(ended, func() { _ = socket.Close() })
	defer stop()
	defer func() { _ = socket.Close() }()
	text := textproto.NewConn(socket)
	wait(ended, s.script.GreetAfter)
	_ = text.PrintfLine("220 relay.example")
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		s.mu.Lock()
		s.commands = append(s.commands, verb)
		s.mu.Unlock()
		if !s.answer(ended, text, socket, verb) {
			return
		}
	}
}

// answer answers a command, and reports whether the conversation goes on.
func (s *Scripted) answer(ended context.Context, text *textproto.Conn, socket net.Conn, verb string) bool {
	switch verb {
	case "EHLO":
		lines := append([]string{"relay.example"}, s.script.Keywords...)
		for i, line := range lines {
			separator := "-"
			if i == len(lines)-1 {
				separator = " "
			}
			_ = text.PrintfLine("250%s%s", separator, line)
		}
	case "STARTTLS":
		_ = text.PrintfLine("%s", s.script.StartTLS)
		if strings.HasPrefix(s.script.StartTLS, "220") {
			_, _ = socket.Write([]byte("this is no handshake\r\n"))
			return false
		}
	case "AUTH":
		_ = text.PrintfLine("235 welcome")
	case "DATA":
		_ = text.PrintfLine("354 go on")
		if _, err := text.ReadDotBytes(); err != nil {
			return false
		}
		s.mu.Lock()
		s.taken++
		s.mu.Unlock()
		if s.script.HangUp {
			return false
		}
		wait(ended, s.script.AnswerAfter)
		_ = text.PrintfLine("250 taken")
	case "QUIT":
		_ = text.PrintfLine("221 bye")
		return false
	default:
		_ = text.PrintfLine("250 ok")
	}
	return true
}

func wait(ended context.Context, duration time.Duration) {
	select {
	case <-ended.Done():
	case <-time.After(duration):
	}
}
