package erasure

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

func newService(t *testing.T, db *database.DB) *Service {
	t.Helper()
	ring, err := keyring.Parse(keyring.Generate())
	require.NoError(t, err)
	digests, err := digest.Open(t.Context(), db, ring)
	require.NoError(t, err)
	recorder := audit.NewRecorder(db, time.Now)
	portals := portal.NewService(portal.Dependencies{Portals: portal.NewRepository(db), Audit: recorder, Now: time.Now})
	jobs, err := queue.New(db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	messages, err := delivery.NewService(delivery.Dependencies{
		DB: db, Queue: jobs, Outage: mail.NewOutage(), Digests: digests, Ring: ring, PublicURL: "https://id.example.com", Now: time.Now,
	})
	require.NoError(t, err)
	people := account.NewService(account.Dependencies{
		DB: db, Accounts: account.NewRepository(db), Audit: recorder, Digests: digests, Now: time.Now,
	})
	keys := apikey.NewService(apikey.Dependencies{APIKeys: apikey.NewRepository(db), Audit: recorder, Now: time.Now})
	return NewService(Dependencies{
		DB: db, Portals: portals, Accounts: people, APIKeys: keys, Messages: messages,
		Invitations: invitation.NewService(invitation.Dependencies{DB: db, Invitations: invitation.NewRepository(db), Now: time.Now}),
	})
}

// person is a person at a portal, with every value that may identify them in a row.
type person struct {
	portalID ids.Portal
	id       ids.Account
	email    string
	digest   digest.Digest
	personal string // a value of theirs alone, used as name, phone number and masked address
}

func newPerson(portalID ids.Portal, name string) person {
	return person{
		portalID, ids.Account{UUID: uuid.Must(uuid.NewV7())}, name + "@example.com", sha256.Sum256([]byte(name)), "personal " + name,
	}
}

func newPortalID() ids.Portal { return ids.Portal{UUID: uuid.Must(uuid.NewV7())} }

// The columns that lead from a row to a person.
var (
	accountColumns = []string{"account_id"}
	inviterColumns = []string{"inviter_id"}
	makerColumns   = []string{"maker_id"}
	addressColumns = []string{
		"email", "email_canonical", "email_digest", "subject", "digest", "masked", "phone", "given_name", "family_name",
	}
)

// otherIDs are the columns of ids that lead to no person. A new column has to be put here, or into accountColumns.
var otherIDs = []string{"portal_id", "key_id", "earlier_key_id", "delivery_id", "invitation_id", "request_id", "target_id"}

// columns are the values that make a row the person's.
func (p person) columns(names []string) map[string]any {
	values := map[string]any{}
	for _, name := range names {
		switch {
		case name == "subject" || strings.HasSuffix(name, "digest"):
			values[name] = p.digest
		case strings.HasSuffix(name, "_id"):
			values[name] = p.id
		case strings.HasPrefix(name, "email"):
			values[name] = p.email
		default:
			values[name] = p.personal
		}
	}
	return values
}

// fill makes the person, and four rows in every table: one that leads to them by the account, one by the inviter, one by
// the maker, one by the address. In the other columns the rows are the bystander's, if any, so that each row shows which column leads to
// the person.
func (p person) fill(t *testing.T, db *database.DB, bystander *person) {
	t.Helper()
	always := map[string]any{
		"portal_id": p.portalID, "portals.id": p.portalID, "portals.slug": p.portalID.String()[24:], "portals.deleted_at": nil,
		"accounts.id": p.id, "accounts.email": p.email, "accounts.email_canonical": p.email, "accounts.locale": "en",
		"accounts.phone": p.personal, "accounts.given_name": p.personal, "accounts.family_name": p.personal,
		"accounts.claimed_at": nil, "roles": "[]", "entitlements": "[]", "metadata": "{}", "scopes": "[]", "portals.settings": "{}",
		"deleted_at": nil, "accepted_at": nil, // an invitation that waits is one to erase
	}
	for _, names := range [][]string{accountColumns, inviterColumns, makerColumns, addressColumns} {
		known := p.columns(names)
		if bystander != nil && !slices.Contains(names, "account_id") {
			known["account_id"] = bystander.id
		} else {
			known["account_id"] = p.id
		}
		for name, value := range always {
			known[name] = value
		}
		databasetest.Fill(t, db, known)
	}
}

// traces lists the columns, as "table.column", with a value of the person's: one entry for each row.
func (p person) traces(t *testing.T, db *database.DB) (found []string) {
	t.Helper()
	columns := databasetest.Columns(t, db)
	ctx := database.AcrossPortals(t.Context(), "a test looks at the whole database")
	for _, c := range columns {
		require.False(t, strings.HasSuffix(c.Name, "_id") &&
			!slices.Contains(slices.Concat(accountColumns, inviterColumns, makerColumns, otherIDs), c.Name), "does %s lead to a person?", c)
		values, err := database.Collect(db.From(ctx).Raw("SELECT "+c.Name+" FROM "+c.Table), database.One[any])
		require.NoError(t, err)
		for _, value := range values {
			text := fmt.Sprint(value)
			octets, ok := value.([]byte)
			if ok {
				text = string(octets)
			}
			if text == p.id.String() || bytes.Equal(octets, p.digest[:]) || strings.Contains(text, p.email) || text == p.personal {
				found = append(found, c.String())
			}
		}
	}
	return found
}

// leftOfAPerson are the columns that a deletion does not change, and why.
var leftOfAPerson = map[string]string{
	"audit_events.account_id":    "the trail stays, and names a person by the account's id and a digest alone",
	"audit_events.email_digest":  "as audit_events.account_id",
	"lockouts.subject":           "deleting an account must not give a guesser new tries; swept",
	"onetime_secrets.account_id": "redeeming looks for the account, which is gone; swept",
	"onetime_secrets.subject":    "deleting an account must not end a cool-down; swept",
	"invitations.inviter_id":     "of invitations to other people: it leads to nobody now",
	"invitations.subject":        "its codes are told superseded by it; swept",
	"deliveries.subject":         "receipts are answered as if there had never been an account; swept",
	"deliveries.masked":          "as deliveries.subject: it is what the request named",
	"recipients.digest":          "how many messages a mailbox got in a day, whoever has it; swept",
}

// After a deletion the person is found only in the columns of leftOfAPerson, in all tables of the schema. Other people's
// rows are unchanged.
func TestAnErasedAccountIsNowhere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s, portalID := newService(t, db), newPortalID()
		ada, bob, carol := newPerson(portalID, "ada"), newPerson(portalID, "bob"), newPerson(portalID, "carol")
		elsewhere := newPerson(newPortalID(), "eve")
		elsewhere.id = ada.id // the portal is a part of the key
		bob.fill(t, db, nil)
		carol.fill(t, db, nil)
		ada.fill(t, db, &carol)
		bobs := bob.traces(t, db)
		for _, c := range databasetest.Columns(t, db) {
			if slices.Contains(slices.Concat(accountColumns, inviterColumns, makerColumns, addressColumns), c.Name) {
				require.Contains(t, ada.traces(t, db), c.String(), "the test put nobody there")
			}
		}

		p := &portal.Portal{ID: portalID}
		require.NoError(t, s.Account(t.Context(), p, ada.id))
		left := map[string]bool{}
		for _, column := range ada.traces(t, db) {
			left[column] = true
		}
		for column := range left {
			require.NotEmpty(t, leftOfAPerson[column], "a deleted person is still found in %s", column)
		}
		for column, why := range leftOfAPerson {
			require.True(t, left[column], "%s holds nothing, and should: %s", column, why)
		}
		require.Equal(t, bobs, bob.traces(t, db))
		require.ErrorIs(t, s.Account(t.Context(), p, ada.id), fault.New(fault.NotFound))

		elsewhere.fill(t, db, nil)
		require.NoError(t, s.Account(t.Context(), p, bob.id))
		require.ErrorIs(t, s.Account(t.Context(), p, elsewhere.id), fault.New(fault.NotFound))
		require.Contains(t, elsewhere.traces(t, db), "accounts.id")
	})
}

// rowsOf counts the rows of a portal in each table that has them.
func rowsOf(t *testing.T, db *database.DB, portalID ids.Portal) map[string]int {
	t.Helper()
	rows := map[string]int{}
	for _, c := range databasetest.Columns(t, db) {
		if c.Name == "portal_id" {
			var n int
			require.NoError(t, db.From(t.Context()).Raw("SELECT COUNT(*) FROM "+c.Table+" WHERE portal_id = ?", portalID).Row().Scan(&n))
			rows[c.Table] = n
		}
	}
	return rows
}

// A deleted portal has no row in any table with a column portal_id. Another portal keeps all of its rows.
func TestAnErasedPortalIsNowhere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s := newService(t, db)
		ada, eve := newPerson(newPortalID(), "ada"), newPerson(newPortalID(), "eve")
		ada.fill(t, db, nil)
		eve.fill(t, db, nil)
		for table, rows := range rowsOf(t, db, ada.portalID) {
			require.NotZero(t, rows, table)
		}
		before := rowsOf(t, db, eve.portalID)
		p, err := s.portals.ByID(t.Context(), ada.portalID)
		require.NoError(t, err)
		_, err = s.portals.Find(t.Context(), p.Slug)
		require.NoError(t, err)

		require.NoError(t, s.Portal(t.Context(), p.Slug))
		for table, rows := range rowsOf(t, db, ada.portalID) {
			require.Zero(t, rows, "%s still holds rows of a deleted portal", table)
		}
		require.Equal(t, before, rowsOf(t, db, eve.portalID))
		_, err = s.portals.Find(t.Context(), p.Slug) // it is cached no more
		require.ErrorIs(t, err, fault.New(fault.OrganizationNotFound))
		require.ErrorIs(t, s.Portal(t.Context(), p.Slug), fault.New(fault.OrganizationNotFound))
		require.ErrorIs(t, s.Portal(t.Context(), "a\x00b"), fault.New(fault.OrganizationNotFound))

		var slug string
		require.NoError(t, db.From(t.Context()).Raw("SELECT slug FROM portals WHERE id = ?", ada.portalID).Row().Scan(&slug))
		require.Equal(t, p.Slug, slug)
		var target string // the event outlives the portal
		require.NoError(t, db.From(t.Context()).Raw("SELECT target_id FROM audit_events WHERE portal_id = ? AND type = ?",
			audit.Installation, audit.PortalDeleted).Row().Scan(&target))
		require.Equal(t, ada.portalID.String(), target)
	})
}
