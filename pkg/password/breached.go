package password

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // the service looks hashes up by SHA-1; no secret depends on it
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// PwnedPasswords is the public service of Have I Been Pwned.
const PwnedPasswords = "https://api.pwnedpasswords.com"

const (
	breachedTimeout = time.Second
	// maxRange is well over the 1,000 or so lines of some 40 bytes that a padded answer has.
	maxRange = 1 << 20
)

// Breached asks a service that speaks the range API of Pwned Passwords whether a password is known from a breach. The
// service learns five hexadecimal digits of the password's SHA-1, which some thousand others share, and not even the
// length of the answer tells an eavesdropper more (https://haveibeenpwned.com/API/v3#SearchingPwnedPasswordsByRange).
type Breached struct {
	// BaseURL is the address of the service, without /range/; empty means PwnedPasswords.
	BaseURL string
	// Client sends the requests; nil means http.DefaultClient.
	Client *http.Client
	// Log logs failures; nil means slog.Default().
	Log *slog.Logger
}

// Knows tells whether the password was seen in a breach. It takes one second at most and fails open: when the service
// cannot be asked, that is logged, and the password counts as unknown.
func (b *Breached) Knows(ctx context.Context, password string) bool {
	ctx, cancel := context.WithTimeout(ctx, breachedTimeout)
	defer cancel()

	known, err := b.find(ctx, password)
	if err != nil {
		cmp.Or(b.Log, slog.Default()).WarnContext(ctx,
			"breached passwords could not be asked, password let through", "error", err)
	}
	return known
}

func (b *Breached) find(ctx context.Context, password string) (bool, error) {
	sum := sha1.Sum([]byte(norm.NFC.String(password))) //nolint:gosec // as above
	digest := strings.ToUpper(hex.EncodeToString(sum[:]))
	prefix, suffix := digest[:5], digest[5:]

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cmp.Or(b.BaseURL, PwnedPasswords)+"/range/"+prefix, nil)
	if err != nil {
		return false, withoutURL(err)
	}
	req.Header.Set("Add-Padding", "true")
	req.Header.Set("User-Agent", "latchkey")
	resp, err := cmp.Or(b.Client, http.DefaultClient).Do(req)
	if err != nil {
		return false, withoutURL(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("password: breached passwords: status %d", resp.StatusCode)
	}
	return listsSuffix(io.LimitReader(resp.Body, maxRange), suffix)
}

// listsSuffix reads lines of SUFFIX:COUNT. Those that pad the answer have a count of 0.
func listsSuffix(body io.Reader, suffix string) (bool, error) {
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		candidate, count, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if strings.EqualFold(candidate, suffix) {
			return count != "0", nil
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("password: breached passwords: %w", err)
	}
	return false, nil
}

// withoutURL keeps the address out of the log, because it ends in part of the password's hash.
func withoutURL(err error) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	return fmt.Errorf("password: breached passwords: %w", err)
}
