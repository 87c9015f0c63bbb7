package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

func newIDs() (ids.Portal, ids.APIKey) {
	return ids.Portal{UUID: uuid.Must(uuid.NewV7())}, ids.APIKey{UUID: uuid.Must(uuid.NewV7())}
}

func TestTextNamesItsKey(t *testing.T) {
	t.Parallel()
	portalID, id := newIDs()
	text := newText(portalID, id)
	gotPortal, gotID, ok := readText(text)
	require.True(t, ok)
	require.Equal(t, portalID, gotPortal)
	require.Equal(t, id, gotID)
	require.True(t, strings.HasPrefix(text, Prefix))
	require.NotEqual(t, text, newText(portalID, id), "the secret is random")
	require.NotContains(t, string(hashOf(text)), text)
}

// A key has one spelling: other texts that decode to the same octets are refused.
func TestTextHasOneSpelling(t *testing.T) {
	t.Parallel()
	_, id := newIDs()
	text := newText(ids.Portal{}, id)
	body := strings.TrimPrefix(text, Prefix)
	raw, err := encoding.DecodeString(body)
	require.NoError(t, err)
	for name, other := range map[string]string{
		"nothing": "", "the prefix": Prefix, "no prefix": body, "upper prefix": "LK_" + body, "space before": " " + text,
		"space behind": text + " ", "newline inside": text[:20] + "\n" + text[20:], "newline for a character": text[:20] + "\n" + text[21:],
		"carriage return": text[:20] + "\r" + text[21:], "padding": text + "==", "short": text[:len(text)-1], "long": text + "A",
		"an octet more": Prefix + encoding.EncodeToString(append(raw, 0)), "an octet less": Prefix + encoding.EncodeToString(raw[:len(raw)-1]),
		"standard base64 of other octets": Prefix + strings.Repeat("+", len(body)), "twice": text + text, "prefix twice": Prefix + text,
		"full width": strings.Replace(text, "lk_", "ｌｋ＿", 1),
	} {
		_, _, ok := readText(other)
		require.False(t, ok, name)
	}
	if std := base64.RawStdEncoding.EncodeToString(raw); std != body {
		_, _, ok := readText(Prefix + std)
		require.False(t, ok)
	}
}

func FuzzText(f *testing.F) {
	text := newText(newIDs())
	for _, seed := range []string{"", Prefix, text, text[:len(text)-1] + "A", strings.ToUpper(text), text + "\n", strings.Repeat("A", len(text))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		portalID, id, ok := readText(typed)
		if !ok {
			require.Zero(t, portalID)
			require.Zero(t, id)
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(typed, Prefix))
		require.NoError(t, err)
		require.Equal(t, typed, Prefix+base64.RawURLEncoding.EncodeToString(raw), "a second spelling")
	})
}

func TestWantedIsChecked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wanted   KeyRequest
		ofPortal bool
		wrong    []string
	}{
		"an operator's":          {KeyRequest{Name: "ci", Scopes: []Scope{Operator}}, false, nil},
		"a portal's":             {KeyRequest{Name: "ci", Scopes: []Scope{Admin, InvitationsExport}}, true, nil},
		"with all a portal's":    {KeyRequest{Name: "ci", Scopes: []Scope{Admin, InvitationsExport, Hashes}}, true, nil},
		"for a minute":           {KeyRequest{Name: "ci", Scopes: []Scope{Operator}, ExpiresIn: time.Minute}, false, nil},
		"for ten years":          {KeyRequest{Name: "ci", Scopes: []Scope{Operator}, ExpiresIn: 3650 * 24 * time.Hour}, false, nil},
		"nothing":                {KeyRequest{}, false, []string{"/name required", "/scopes required", "/portal required"}},
		"a blank name":           {KeyRequest{Name: " \t ", Scopes: []Scope{Operator}}, false, []string{"/name required"}},
		"a long name":            {KeyRequest{Name: strings.Repeat("é", 101), Scopes: []Scope{Operator}}, false, []string{"/name too_long"}},
		"a name just short":      {KeyRequest{Name: strings.Repeat("é", 100), Scopes: []Scope{Operator}}, false, nil},
		"a scope that is none":   {KeyRequest{Name: "ci", Scopes: []Scope{"root"}}, true, []string{"/scopes/0 not_allowed"}},
		"case":                   {KeyRequest{Name: "ci", Scopes: []Scope{"Admin"}}, true, []string{"/scopes/0 not_allowed"}},
		"twice":                  {KeyRequest{Name: "ci", Scopes: []Scope{Admin, Admin}}, true, []string{"/scopes/1 duplicate_member"}},
		"an operator's portal":   {KeyRequest{Name: "ci", Scopes: []Scope{Operator}}, true, []string{"/portal conflict"}},
		"an administrator of no": {KeyRequest{Name: "ci", Scopes: []Scope{Admin}}, false, []string{"/portal required"}},
		"too soon over":          {KeyRequest{Name: "ci", Scopes: []Scope{Operator}, ExpiresIn: time.Minute - 1}, false, []string{"/expires_in out_of_range"}},
		"negative":               {KeyRequest{Name: "ci", Scopes: []Scope{Operator}, ExpiresIn: -time.Hour}, false, []string{"/expires_in out_of_range"}},
		"too late":               {KeyRequest{Name: "ci", Scopes: []Scope{Operator}, ExpiresIn: 3651 * 24 * time.Hour}, false, []string{"/expires_in out_of_range"}},
	} {
		var got []string
		if err := tt.wanted.Check(tt.ofPortal); err != nil {
			var f *fault.Error
			require.ErrorAs(t, err, &f, name)
			for _, field := range f.Fields {
				got = append(got, field.Pointer+" "+string(field.Code))
			}
		}
		require.Equal(t, tt.wrong, got, name)
	}
}

// A key is refused when a character of it is changed, when it has expired, and when it is revoked. Its text is not stored.
func TestAuthenticate(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		ctx := context.Background()
		s := NewService(Dependencies{APIKeys: NewRepository(db), Audit: audit.NewRecorder(db, clock), Now: clock})
		key, text, err := s.Create(ctx, KeyRequest{Name: "ci", Scopes: []Scope{Operator, InvitationsExport}, ExpiresIn: time.Hour})
		require.NoError(t, err)
		_, other, err := s.Create(ctx, KeyRequest{Name: "other", Scopes: []Scope{Operator}})
		require.NoError(t, err)

		var stored []byte
		require.NoError(t, db.From(ctx).Raw("SELECT key_hash FROM api_keys WHERE portal_id = ? AND id = ?", ids.Portal{}, key.ID).
			Row().Scan(&stored))
		sum := sha256.Sum256([]byte(text))
		require.Equal(t, sum[:], stored)

		refused := func(text string) {
			t.Helper()
			_, err := s.Authenticate(ctx, text)
			require.ErrorIs(t, err, fault.New(fault.AuthenticationRequired))
		}
		found, err := s.Authenticate(ctx, text)
		require.NoError(t, err)
		require.Equal(t, key.ID, found.ID)
		require.Equal(t, []Scope{Operator, InvitationsExport}, found.Scopes)
		for i := len(Prefix); i < len(text); i++ {
			swapped := []byte(text)
			swapped[i] = other[i]
			if swapped[i] != text[i] {
				refused(string(swapped))
			}
		}
		refused(newText(ids.Portal{}, key.ID)) // the ids are no secret

		listed, err := s.List(ctx, nil, ids.APIKey{}, 10)
		require.NoError(t, err)
		require.Len(t, listed, 2)
		require.Equal(t, now, *listed[1].LastUsedAt)

		now = now.Add(time.Hour - time.Millisecond)
		_, err = s.Authenticate(ctx, text)
		require.NoError(t, err)
		now = now.Add(time.Millisecond)
		refused(text)

		elsewhere, _ := newIDs()
		require.ErrorIs(t, s.Revoke(ctx, &elsewhere, listed[0].ID), fault.New(fault.NotFound))
		_, err = s.Authenticate(ctx, other)
		require.NoError(t, err)
		require.NoError(t, s.Revoke(ctx, nil, listed[0].ID))
		refused(other)
		require.ErrorIs(t, s.Revoke(ctx, nil, listed[0].ID), fault.New(fault.NotFound))
	})
}
