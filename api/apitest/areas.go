package apitest

import (
	"os"
	"path/filepath"
	"slices"
)

// Areas lists, by directory of api/tests, the operations whose documented statuses are all seen in that package. Each
// operation has one area.
var Areas = map[string][]string{
	"admin": {
		"createPortal", "listPortals", "getPortal", "updatePortal", "deletePortal",
		"createAccount", "listAccounts", "getAccount", "updateAccount", "deleteAccount",
		"createApiKey", "listApiKeys", "revokeApiKey", "rotateSigningKey", "listSigningKeys",
		"withdrawSigningKey",
	},
	"contract": {
		"getHealth", "getReadiness", "getStatus", "getOpenapi", "getDocs", "explainProblem", "getJwks", "getMetrics",
		"findPortal", "getPublicPortal", "getDiscovery",
	},
	"invitations": {
		"createInvitation", "listInvitations", "importInvitations", "exportInvitations", "getInvitation", "deleteInvitation",
		"renewInvitation", "resendInvitation", "verifyInvitation", "redeemInvitation",
	},
	"lockout":      {"getLockoutStatus", "unlockAccount"},
	"login":        {"lookUp", "logIn"},
	"registration": {"register"},
	"secrets": {
		"issueConfirmation", "verifyConfirmation", "redeemConfirmation",
		"issuePasswordReset", "verifyPasswordReset", "redeemPasswordReset", "getDelivery",
	},
	"sessions": {
		"refreshSession", "logOut", "getMe", "updateMe", "changePassword", "listSessions", "endSession", "endAccountSessions",
		"getServerMetadata",
	},
}

// ownOperations are the operations of the area whose tests run: go test runs them in their directory.
func ownOperations() []Operation {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	own := Areas[filepath.Base(dir)]
	return slices.DeleteFunc(slices.Clone(OpenAPI().Operations), func(op Operation) bool {
		return !slices.Contains(own, op.OperationID)
	})
}
