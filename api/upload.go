package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Bounds of uploaded files, on one instance.
const (
	maxUpload    = 10 << 20        // octets of one file
	uploadBudget = 3 * maxUpload   // octets of all files that are in memory
	uploadRate   = 64 << 10        // octets a second that an upload must have on average
	uploadGrace  = 5 * time.Second // before the rate counts
	maxOpenFiles = 2               // files whose rows are read at the same time: a workbook unpacks to a multiple
	openFileTime = time.Minute     // how long a file waits for that
)

// uploads admits files before their first octet is read, so that memory stays bounded whatever the number of uploads.
// A portal has one file at a time, so that one tenant cannot keep the others out.
type uploads struct {
	mu      sync.Mutex
	portals map[ids.Portal]bool // that have a file
	left    int64               // of the budget
	changed chan struct{}       // closed when a file ends
	open    chan struct{}       // one entry for each file whose rows are read
}

func newUploads() *uploads {
	return &uploads{
		portals: make(map[ids.Portal]bool), left: uploadBudget, changed: make(chan struct{}),
		open: make(chan struct{}, maxOpenFiles),
	}
}

// admit waits until a portal may send a file of a size, in octets. The caller must call release when the file is no
// longer in memory. Errors: unavailable when ctx ends first.
func (u *uploads) admit(ctx context.Context, portalID ids.Portal, size int64) (release func(), err error) {
	for {
		admitted, changed := u.try(portalID, size)
		if admitted {
			return sync.OnceFunc(func() { u.release(portalID, size) }), nil
		}
		select {
		case <-ctx.Done():
			return nil, busy()
		case <-changed:
		}
	}
}

func (u *uploads) try(portalID ids.Portal, size int64) (admitted bool, changed <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.portals[portalID] || size > u.left {
		return false, u.changed
	}
	u.portals[portalID] = true
	u.left -= size
	return true, nil
}

func (u *uploads) release(portalID ids.Portal, size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.portals, portalID)
	u.left += size
	close(u.changed)
	u.changed = make(chan struct{})
}

// opened waits for the turn to read the rows of a file. Errors: unavailable when ctx ends first.
func (u *uploads) opened(ctx context.Context) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, openFileTime)
	defer cancel()
	select {
	case u.open <- struct{}{}:
		return func() { <-u.open }, nil
	case <-ctx.Done():
		return nil, busy()
	}
}

func busy() error {
	f := fault.New(fault.Unavailable).After(requestTime)
	f.Text = "upload.busy"
	return f
}

// receiveFile reads an uploaded file of one of the media types and waits for the turn to read its rows. The caller must
// call release when the file is no longer in memory.
//
// Errors: unsupported_media_type, request_too_large, malformed_request for a file that is cut off or too slow,
// unavailable when other files keep it waiting.
func (s *Server) receiveFile(c echo.Context, types ...string) (file []byte, release func(), err error) {
	r := c.Request()
	if err := wantType(r, types...); err != nil {
		return nil, nil, err
	}
	size := r.ContentLength
	switch {
	case size > maxUpload:
		return nil, nil, fault.New(fault.RequestTooLarge)
	case size < 0:
		size = maxUpload
	}
	leave, err := s.uploads.admit(r.Context(), portalOf(c).ID, size)
	if err != nil {
		return nil, nil, err
	}
	unhurried(c)
	if file, err = readFile(c, size); err != nil {
		leave()
		return nil, nil, err
	}
	done, err := s.uploads.opened(c.Get(callKey).(context.Context))
	if err != nil {
		leave()
		return nil, nil, err
	}
	return file, func() { done(); leave() }, nil
}

// readFile reads a body of a size at most. A body that falls below uploadRate is given up.
func readFile(c echo.Context, size int64) ([]byte, error) {
	body := &steadyReader{
		Reader: http.MaxBytesReader(c.Response(), c.Request().Body, maxUpload), begun: time.Now(),
		control: http.NewResponseController(c.Response()),
	}
	buffer := new(bytes.Buffer)
	buffer.Grow(int(size) + bytes.MinRead) // at once, because growing would take a multiple of the budget
	_, err := buffer.ReadFrom(body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, fault.New(fault.RequestTooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		f := fault.Wrap(fault.MalformedRequest, err)
		f.Text = "upload.slow"
		return nil, f
	case err != nil:
		return nil, fault.Wrap(fault.MalformedRequest, err)
	}
	return buffer.Bytes(), nil
}

// steadyReader moves the read deadline of its connection ahead as octets arrive.
type steadyReader struct {
	io.Reader
	control *http.ResponseController
	begun   time.Time
	read    int64
}

func (r *steadyReader) Read(p []byte) (int, error) {
	due := r.begun.Add(uploadGrace + time.Duration(r.read)*time.Second/uploadRate)
	_ = r.control.SetReadDeadline(due) // fails only for a connection without deadlines
	n, err := r.Reader.Read(p)
	r.read += int64(n)
	return n, err
}

// unhurried extends the connection's deadlines to those of a file.
func unhurried(c echo.Context) {
	control, until := http.NewResponseController(c.Response()), time.Now().Add(fileTime)
	_ = control.SetReadDeadline(until) // fails only for a connection without deadlines
	_ = control.SetWriteDeadline(until)
}
