package fault

// Code says what went wrong. A code never changes its meaning; openapi.yaml has the same list.
type Code string

// Problems that any operation can answer.
const (
	MalformedRequest       Code = "malformed_request"
	ValidationFailed       Code = "validation_failed"
	AuthenticationRequired Code = "authentication_required"
	AccessTokenInvalid     Code = "access_token_invalid"
	PermissionDenied       Code = "permission_denied"
	OriginNotAllowed       Code = "origin_not_allowed"
	NotFound               Code = "not_found"
	OrganizationNotFound   Code = "organization_not_found"
	MethodNotAllowed       Code = "method_not_allowed"
	RequestTooLarge        Code = "request_too_large"
	UnsupportedMediaType   Code = "unsupported_media_type"
	RateLimited            Code = "rate_limited"
	Internal               Code = "internal"
	Overloaded             Code = "overloaded"
	Unavailable            Code = "unavailable"
)

// Problems of the front door.
const (
	EmailNotFound        Code = "email_not_found"
	IncorrectCredentials Code = "incorrect_credentials"
	AccountDisabled      Code = "account_disabled"
	EmailNotConfirmed    Code = "email_not_confirmed"
	PasswordNotSet       Code = "password_not_set"
	ChannelUnavailable   Code = "channel_unavailable"
	ResourceNotGranted   Code = "resource_not_granted"
	PasswordRejected     Code = "password_rejected"
	SessionInvalid       Code = "session_invalid"

	AccountLocked            Code = "account_locked"
	PasswordResetRequired    Code = "password_reset_required"
	RefreshTokenReused       Code = "refresh_token_reused"
	CurrentPasswordIncorrect Code = "current_password_incorrect"
)

// Problems of one-time secrets, and of what they are for.
const (
	TokenInvalid          Code = "token_invalid"
	TokenUsed             Code = "token_used"
	TokenSuperseded       Code = "token_superseded"
	TokenExpired          Code = "token_expired"
	CodeAttemptsExhausted Code = "code_attempts_exhausted"
	ResendTooSoon         Code = "resend_too_soon"
	EmailAlreadyConfirmed Code = "email_already_confirmed"
	RegistrationClosed    Code = "registration_closed"
	PendingInvitation     Code = "pending_invitation"

	InvitationEmailMismatch Code = "invitation_email_mismatch"
)

// Problems of administration.
const (
	EmailAlreadyRegistered Code = "email_already_registered"
	PhoneAlreadyRegistered Code = "phone_already_registered"
	InvitationPending      Code = "invitation_pending"
	LastSigningKey         Code = "last_signing_key"
)

// All lists every code, for the catalogue, the explanation pages and openapi.yaml to be checked against.
func All() []Code {
	return []Code{
		MalformedRequest, ValidationFailed, AuthenticationRequired, AccessTokenInvalid, PermissionDenied,
		OriginNotAllowed, NotFound, OrganizationNotFound, MethodNotAllowed, RequestTooLarge, UnsupportedMediaType,
		RateLimited, Internal, Overloaded, Unavailable,
		EmailNotFound, IncorrectCredentials, AccountDisabled, EmailNotConfirmed, PasswordNotSet, ChannelUnavailable,
		ResourceNotGranted, PasswordRejected, SessionInvalid,
		AccountLocked, PasswordResetRequired, RefreshTokenReused, CurrentPasswordIncorrect,
		TokenInvalid, TokenUsed, TokenSuperseded, TokenExpired, CodeAttemptsExhausted, ResendTooSoon,
		EmailAlreadyConfirmed, RegistrationClosed, PendingInvitation, InvitationEmailMismatch,
		EmailAlreadyRegistered, PhoneAlreadyRegistered, InvitationPending, LastSigningKey,
	}
}

// FieldCode says what is wrong with one member of a request.
type FieldCode string

// What can be wrong with a member.
const (
	FieldRequired         FieldCode = "required"
	FieldUnknown          FieldCode = "unknown_member"
	FieldDuplicate        FieldCode = "duplicate_member"
	FieldType             FieldCode = "wrong_type"
	FieldNull             FieldCode = "null_not_allowed"
	FieldControlCharacter FieldCode = "control_character"
	FieldEncoding         FieldCode = "invalid_encoding"
	FieldSyntax           FieldCode = "invalid_json"
	FieldInvalid          FieldCode = "invalid"
	FieldEmail            FieldCode = "invalid_email"
	FieldTooShort         FieldCode = "too_short"
	FieldTooLong          FieldCode = "too_long"
	FieldTooMany          FieldCode = "too_many"
	FieldOutOfRange       FieldCode = "out_of_range"
	FieldNotAllowed       FieldCode = "not_allowed"
	FieldTaken            FieldCode = "taken"
	FieldConflict         FieldCode = "conflict"
	FieldReadOnly         FieldCode = "read_only"
)

// AllFields lists every field code.
func AllFields() []FieldCode {
	return []FieldCode{
		FieldRequired, FieldUnknown, FieldDuplicate, FieldType, FieldNull, FieldControlCharacter, FieldEncoding,
		FieldSyntax, FieldInvalid, FieldEmail, FieldTooShort, FieldTooLong, FieldTooMany, FieldOutOfRange,
		FieldNotAllowed, FieldTaken, FieldConflict, FieldReadOnly,
	}
}
