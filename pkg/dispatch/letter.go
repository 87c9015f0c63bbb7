package dispatch

import (
	"bytes"
	_ "embed"
	"html/template"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/locale"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// letter is the content of a message, before it becomes text and HTML.
type letter struct {
	Language  locale.Language
	Portal    string
	Subject   string
	Hello     string
	HelloHTML string // with any name: escaping makes it harmless
	Intro     string
	Button    string
	Link      string // "" leaves out the button
	CopyLink  string
	EnterCode string
	Code      string // "" leaves it out
	Notes     []string
	Foot      []string
}

// compose writes a letter in the language that the message was queued with.
func compose(p *portal.Portal, d *delivery.Delivery, to recipient, now time.Time) *letter {
	language, ok := locale.Parse(d.Locale)
	if !ok {
		language = locale.Default
	}
	say := func(key string, data locale.Data) string { return locale.Text(language, "mail."+key, data) }
	kind := string(d.Kind)
	named := locale.Data{"portal": oneLine(p.SenderName())}
	enter := "code"
	if d.Kind == delivery.Invited {
		enter = kind + ".code"
	}

	l := &letter{
		Language: language, Portal: oneLine(p.SenderName()), Subject: say(kind+".subject", named),
		Hello: say("hello", nil), HelloHTML: say("hello", nil), Intro: say(kind+".intro", named),
		Link: link(p, d.Kind, to.secret.token), CopyLink: say("copy_link", nil), Code: to.secret.code,
		EnterCode: say(enter, nil),
	}
	name := oneLine(to.givenName)
	if plainName(name) {
		l.Hello = say("hello", locale.Data{"name": name})
	}
	if name != "" {
		l.HelloHTML = say("hello", locale.Data{"name": unlinked(name)})
	}
	if inviter := oneLine(to.inviter); plainName(inviter) {
		l.Intro = say(kind+".intro_by", locale.Data{"portal": l.Portal, "inviter": inviter})
	}
	if l.Link != "" {
		l.Button, l.EnterCode = say(kind+".button", nil), say(enter+"_too", nil)
	}
	if d.Kind.CarriesSecret() {
		validity := locale.Data{"duration": locale.Validity(language, to.secret.expiresAt.Sub(now))}
		which := "newest"
		if to.contested {
			which = "contested"
		}
		l.Notes = append(l.Notes, say("valid", validity)+" "+say(which, nil), say("secrecy", nil))
	}
	if d.Kind == delivery.AlreadyRegistered || d.Kind == delivery.Invited {
		l.Notes = append(l.Notes, say(kind+".how", nil))
	}
	if to.network != "" {
		l.Notes = append(l.Notes, say("origin", locale.Data{
			"time": to.askedAt.Format("2006-01-02, 15:04 UTC"), "network": to.network,
		}))
	}
	l.Notes = append(l.Notes, say(kind+".not_you", nil))
	if support := supportOf(p); support != "" {
		l.Foot = append(l.Foot, say("support", locale.Data{"support": support}))
	}
	l.Foot = append(l.Foot, say("automatic", nil))
	return l
}

// link is the portal's page for the kind, with the token in its place; "" where the portal has none.
func link(p *portal.Portal, kind delivery.Kind, token string) string {
	var page *string
	switch kind {
	case delivery.Confirm:
		page = p.Links.Confirm
	case delivery.ResetPassword, delivery.SetPassword:
		page = p.Links.Reset
	case delivery.AlreadyRegistered:
		page = p.Links.Login
	case delivery.Invited:
		page = p.Links.Invitation
	}
	if page == nil {
		return ""
	}
	return portal.Link(*page, token)
}

func supportOf(p *portal.Portal) string {
	var ways []string
	for _, way := range []*string{p.Support.Email, p.Support.URL} {
		if way != nil {
			ways = append(ways, *way)
		}
	}
	return strings.Join(ways, ", ")
}

// text is the letter as text/plain.
func (l *letter) text() string {
	parts := []string{l.Hello, l.Intro}
	if l.Link != "" {
		parts = append(parts, l.Button+"\n"+l.Link)
	}
	if l.Code != "" {
		parts = append(parts, l.EnterCode+"\n\n    "+l.Code)
	}
	parts = append(parts, l.Notes...)
	parts = append(parts, "-- \n"+l.Portal+"\n"+strings.Join(l.Foot, "\n"))
	return strings.Join(parts, "\n\n") + "\n"
}

//go:embed letter.html
var letterHTML string

// letterTemplate is parsed when the first letter is written: a start need not wait for it.
var letterTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("letter").Parse(letterHTML))
})

// html is the letter as text/html.
func (l *letter) html() (string, error) {
	var page bytes.Buffer
	err := letterTemplate().Execute(&page, l)
	return page.String(), err
}
