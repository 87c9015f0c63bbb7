package api_test

import (
	"testing"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }
