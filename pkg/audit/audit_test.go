package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// someone is the digest of an address.
var someone = digest.Digest([]byte("a digest of an address, 32 bytes"))

// stored is the newest event, every column as text.
func stored(t *testing.T, db *database.DB) map[string]string {
	t.Helper()
	rows, err := db.From(database.AcrossPortals(t.Context(), "a test reads")).Raw("SELECT * FROM audit_events ORDER BY id DESC LIMIT 1").Rows()
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	names, err := rows.Columns()
	require.NoError(t, err)
	values, into := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	require.True(t, rows.Next())
	require.NoError(t, rows.Scan(into...))
	require.NoError(t, rows.Err())
	row := map[string]string{}
	for i, name := range names {
		if octets, ok := values[i].([]byte); ok {
			values[i] = string(octets)
		}
		row[name] = fmt.Sprint(values[i])
	}
	return row
}

// An event identifies a person by id and digest only. Of an error, only the code is stored.
func TestAnEventHoldsNoAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		at := time.Date(2026, 11, 22, 12, 0, 0, 123_456_789, time.UTC)
		r := NewRecorder(db, func() time.Time { return at })
		ctx := WithCaller(t.Context(), &Caller{Actor: Operator(), Network: "192.0.2.1", UserAgent: "curl/8", RequestID: "request-1"})
		const address = "ada@example.com"
		portalID, account := ids.Portal{UUID: uuid.Must(uuid.NewV7())}, ids.Account{UUID: uuid.Must(uuid.NewV7())}
		why := fault.Wrap(fault.IncorrectCredentials, errors.New("no password of "+address)).
			With("email", address).With("hints", []string{"all_caps"})
		require.NoError(t, r.Record(ctx, OfAccount(portalID, Login, account, someone).
			Failed(fmt.Errorf("%s: %w", address, why)).WithHints([]string{"all_caps", "unusual_script"})))
		row := stored(t, db)
		for name, value := range row {
			require.NotContains(t, strings.ToLower(value), "ada", name)
		}
		delete(row, "id")
		require.Equal(t, map[string]string{
			"portal_id": portalID.String(), "at": fmt.Sprint(at.UnixMilli()), "type": "login", "outcome": "failure",
			"code": "incorrect_credentials", "email_digest": string(someone[:]), "account_id": account.String(), "actor": "operator",
			"network": "192.0.2.1", "user_agent": "curl/8", "request_id": "request-1", "hints": "all_caps,unusual_script",
			"target_kind": "", "target_id": "", "target_name": "", "changed": "",
		}, row)

		require.NoError(t, r.Record(t.Context(), OfAddress(Installation, PortalCreated, digest.Digest{}).Failed(errors.New(address))))
		row = stored(t, db)
		require.Equal(t, "internal", row["code"], "an error that is no fault")
		require.Equal(t, "<nil>", row["email_digest"])
		require.Equal(t, "<nil>", row["account_id"])
		require.Empty(t, row["actor"])

		require.NoError(t, r.Record(t.Context(), OfAddress(Installation, PortalCreated, digest.Digest{})))
		row = stored(t, db)
		require.Equal(t, "success", row["outcome"])
		require.Empty(t, row["code"])
	})
}

// The target and the changed members have columns of their own. The members are sorted.
func TestAnEventNamesItsTarget(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		r, id := NewRecorder(db, time.Now), uuid.Must(uuid.NewV7())
		portalID, keyID, invitationID := ids.Portal{UUID: id}, ids.APIKey{UUID: id}, ids.Invitation{UUID: id}
		for want, target := range map[[3]string]Target{
			{"portal", id.String(), "acme"}: PortalTarget(portalID, "acme"),
			{"api_key", id.String(), "ci"}:  APIKeyTarget(keyID, "ci"),
			{"signing_key", "kid", "kid"}:   SigningKeyTarget("kid"),
			{"invitation", id.String(), ""}: InvitationTarget(invitationID),
		} {
			require.NoError(t, r.Record(t.Context(), OfTarget(Installation, PortalChanged, target).Changed("name", "lockout")))
			row := stored(t, db)
			require.Equal(t, want, [3]string{row["target_kind"], row["target_id"], row["target_name"]})
			require.Equal(t, "lockout,name", row["changed"])
			require.Equal(t, uuid.Nil.String(), row["portal_id"])
		}
		require.NoError(t, r.Record(t.Context(), OfAddress(portalID, InvitationDeleted, someone).
			WithTarget(InvitationTarget(invitationID)).WithAccount(ids.Account{})))
		row := stored(t, db)
		require.Equal(t, []string{"invitation", string(someone[:]), "<nil>"}, []string{row["target_kind"], row["email_digest"], row["account_id"]})
	})
}

func TestActors(t *testing.T) {
	t.Parallel()
	for want, actor := range map[string]Actor{
		"operator": Operator(), "api_key:" + uuid.Max.String(): APIKey(ids.APIKey{UUID: uuid.Max}), "terminal": Terminal(),
		"account:" + uuid.Max.String(): Person(ids.Account{UUID: uuid.Max}), "": {},
	} {
		require.Equal(t, want, actor.String())
	}
}

// An event is rolled back with the transaction that it is written in.
func TestAnEventGoesWithItsTransaction(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		r := NewRecorder(db, time.Now)
		undone := errors.New("undone")
		for _, outcome := range []error{undone, nil} {
			err := db.InTx(t.Context(), func(ctx context.Context) error {
				require.NoError(t, r.Record(ctx, OfAddress(Installation, AccountDeleted, digest.Digest{})))
				return outcome
			})
			require.Equal(t, outcome, err)
			var rows int
			require.NoError(t, db.From(t.Context()).Raw("SELECT COUNT(*) FROM audit_events WHERE portal_id = ?", Installation).Row().Scan(&rows))
			require.Equal(t, outcome == nil, rows == 1)
		}
	})
}

func TestACallerTravelsInTheContext(t *testing.T) {
	t.Parallel()
	require.Equal(t, &Caller{}, CallerOf(context.Background()))
	caller := &Caller{Actor: Operator()}
	ctx := WithCaller(context.Background(), caller)
	CallerOf(ctx).Actor = Person(ids.Account{UUID: uuid.Max}) // as authentication does, later on
	require.Same(t, caller, CallerOf(ctx))
	require.Equal(t, "account:"+uuid.Max.String(), caller.Actor.String())
}
