package account

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

func ptr(text string) *string { return &text }

// shelf is a portal and its accounts.
type shelf struct {
	repo *Repository
	id   ids.Portal
}

func newShelf(t *testing.T, db *database.DB) shelf {
	t.Helper()
	s := shelf{NewRepository(db), ids.Portal{UUID: uuid.Must(uuid.NewV7())}}
	require.NoError(t, db.From(t.Context()).Exec(`INSERT INTO portals (id, slug, settings, version, created_at, updated_at)
		VALUES (?, ?, '{}', 1, 0, 0)`, s.id, s.id.String()).Error)
	return s
}

func (s shelf) add(t *testing.T, address string, change func(*Account)) *Account {
	t.Helper()
	typed, err := email.Parse(address)
	require.NoError(t, err)
	a := &Account{
		ID: ids.Account{UUID: uuid.Must(uuid.NewV7())}, Email: typed, Locale: "en", Roles: []string{}, Entitlements: []string{},
		Metadata: json.RawMessage("{}"), SecurityStamp: uuid.New(),
	}
	if change != nil {
		change(a)
	}
	added, err := s.repo.ReplaceUnverified(t.Context(), s.id, a)
	require.NoError(t, err)
	require.True(t, added)
	return a
}

// found lists the addresses that match q, newest first.
func (s shelf) found(t *testing.T, q string) []string {
	t.Helper()
	accounts, err := s.repo.Page(t.Context(), s.id, q, ids.Account{}, 100)
	require.NoError(t, err)
	list := make([]string, 0)
	for _, a := range accounts {
		list = append(list, a.Email.Typed())
	}
	return list
}

func TestSearch(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s, other := newShelf(t, db), newShelf(t, db)
		const ada, bob, umlaut = "Ada.Lovelace@Example.com", "bob+news@example.org", "jörg@bücher.example"
		s.add(t, ada, func(a *Account) { a.GivenName, a.FamilyName, a.Phone = ptr("Ada"), ptr("Lovelace"), ptr("+4530303030") })
		s.add(t, bob, func(a *Account) { a.GivenName, a.FamilyName = ptr("Bob"), ptr("O'Hara") })
		s.add(t, umlaut, func(a *Account) { a.FamilyName = ptr("Groß Straße") })
		other.add(t, "ada@elsewhere.example", nil)
		for q, want := range map[string][]string{
			"": {umlaut, bob, ada}, "ada": {ada}, "ADA.LOVE": {ada}, "@example": {bob, ada}, "@EXAMPLE.com": {ada},
			"ada lovelace": {ada}, "lovelace ada": {ada}, " Lovelace ": {ada}, "ａｄａ": {ada}, "+4530": {ada}, "303030": {ada},
			"o'hara": {bob}, "+news": {bob}, "bob o'h": {bob}, "jo\u0308rg": {umlaut}, "JÖRG": {umlaut}, "bücher": {umlaut},
			"xn--bcher-kva": {umlaut}, "STRASSE": {umlaut}, "straße": {umlaut}, "groß": {umlaut},
			"nobody": {}, "ada lovelace ada": {}, "elsewhere": {},
		} {
			require.Equal(t, want, s.found(t, q), "%q", q)
		}
	})
}

// The wildcards of LIKE are plain characters in q.
func TestSearchIsLiteral(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newShelf(t, db)
		for i, name := range []string{`100% sure`, `snake_case`, `wow! such`, `back\slash`, `quote'd`, `double"d`, `a*b?[c]`, `!%_!`} {
			s.add(t, fmt.Sprintf("n%d@example.com", i), func(a *Account) { a.GivenName = ptr(name) })
		}
		for q, want := range map[string][]string{
			"%": {"n7@example.com", "n0@example.com"}, "100%": {"n0@example.com"}, "1%sure": {}, "_": {"n7@example.com", "n1@example.com"},
			"snake_": {"n1@example.com"}, "snake-": {}, "s_ake": {}, "!": {"n7@example.com", "n2@example.com"}, "wow!": {"n2@example.com"},
			"!%": {"n7@example.com"}, "!_": {}, "_!": {"n7@example.com"}, `\`: {"n3@example.com"}, `back\`: {"n3@example.com"}, `\\`: {},
			"'": {"n4@example.com"}, "''": {}, `"`: {"n5@example.com"}, "*": {"n6@example.com"}, "a*": {"n6@example.com"}, "?[": {"n6@example.com"},
			"[c]": {"n6@example.com"}, "' OR '1'='1": {}, "%%": {}, "!!": {},
		} {
			require.Equal(t, want, s.found(t, q), "%q", q)
		}
	})
}

// The pages of a search together list each match once.
func TestSearchByPage(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newShelf(t, db)
		var want []ids.Account
		for i := range 7 {
			want = append([]ids.Account{s.add(t, fmt.Sprintf("n%d@example.com", i), nil).ID}, want...)
			s.add(t, fmt.Sprintf("n%d@example.org", i), nil)
		}
		var got []ids.Account
		for before := (ids.Account{}); ; {
			page, err := s.repo.Page(t.Context(), s.id, "EXAMPLE.com", before, 3)
			require.NoError(t, err)
			for _, a := range page {
				got, before = append(got, a.ID), a.ID
			}
			if len(page) < 3 {
				break
			}
		}
		require.Equal(t, want, got)
	})
}
