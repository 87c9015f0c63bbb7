package email

// providers are the domains at which people most often have their mailboxes, the most used of the world first and
// then by country. The order decides between two that are equally close to the typed domain.
var providers = []string{
	"gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "googlemail.com", "live.com", "aol.com",
	"msn.com", "me.com", "mac.com", "proton.me", "protonmail.com", "protonmail.ch", "pm.me", "ymail.com",
	"rocketmail.com", "mail.com", "email.com", "gmx.com", "zoho.com", "fastmail.com", "fastmail.fm", "hey.com",
	"hushmail.com", "mailo.com", "tutanota.com", "tutamail.com", "tuta.com", "tuta.io", "passport.com",

	// Germany
	"gmx.de", "web.de", "t-online.de", "gmx.net", "freenet.de", "yahoo.de", "hotmail.de", "outlook.de", "live.de",
	"aol.de", "posteo.de", "posteo.net", "mailbox.org", "arcor.de", "vodafone.de", "vodafonemail.de", "magenta.de",
	"kabelmail.de", "unitybox.de", "1und1.de", "online.de", "mail.de", "email.de", "o2online.de", "o2mail.de",
	"alice-dsl.net", "ewetel.de", "ewe.net", "netcologne.de", "tutanota.de", "gmx.info", "gmx.org",

	// France
	"orange.fr", "wanadoo.fr", "free.fr", "laposte.net", "sfr.fr", "hotmail.fr", "yahoo.fr", "outlook.fr", "live.fr",
	"neuf.fr", "bbox.fr", "numericable.fr", "club-internet.fr", "cegetel.net", "aliceadsl.fr", "gmx.fr", "aol.fr",

	// The Netherlands
	"ziggo.nl", "kpnmail.nl", "planet.nl", "xs4all.nl", "kpn.nl", "hotmail.nl", "live.nl", "outlook.nl", "yahoo.nl",
	"home.nl", "hetnet.nl", "chello.nl", "upcmail.nl", "casema.nl", "quicknet.nl", "zonnet.nl", "tele2.nl",
	"telfort.nl", "caiway.nl", "online.nl", "solcon.nl", "zeelandnet.nl", "onsmail.nl",

	// Denmark
	"hotmail.dk", "mail.dk", "live.dk", "outlook.dk", "yahoo.dk", "jubii.dk", "stofanet.dk", "youmail.dk", "ofir.dk",
	"tdcadsl.dk", "webspeed.dk", "fibermail.dk", "profibermail.dk", "privat.dk", "email.dk",

	// The United Kingdom
	"yahoo.co.uk", "hotmail.co.uk", "live.co.uk", "btinternet.com", "sky.com", "virginmedia.com", "ntlworld.com",
	"blueyonder.co.uk", "talktalk.net", "tiscali.co.uk", "googlemail.co.uk", "aol.co.uk", "gmx.co.uk",

	// Belgium and Luxembourg
	"telenet.be", "skynet.be", "proximus.be", "scarlet.be", "voo.be", "hotmail.be", "live.be", "outlook.be",
	"yahoo.be", "pt.lu",

	// Austria
	"gmx.at", "aon.at", "chello.at", "a1.net", "drei.at", "live.at", "hotmail.at", "outlook.at", "yahoo.at", "liwest.at",

	// Switzerland
	"bluewin.ch", "gmx.ch", "hispeed.ch", "sunrise.ch", "hotmail.ch", "outlook.ch", "live.ch", "yahoo.ch",
	"swissonline.ch",

	// The north
	"hotmail.se", "live.se", "outlook.se", "yahoo.se", "telia.com", "hotmail.no", "live.no", "online.no", "yahoo.no",
	"hotmail.fi", "luukku.com",

	// The south
	"libero.it", "virgilio.it", "alice.it", "tiscali.it", "tin.it", "hotmail.it", "yahoo.it", "outlook.it", "live.it",
	"hotmail.es", "yahoo.es", "outlook.es", "live.com.pt", "telefonica.net", "sapo.pt", "hotmail.gr", "outlook.pt",

	// The east
	"wp.pl", "o2.pl", "onet.pl", "interia.pl", "op.pl", "seznam.cz", "email.cz", "centrum.cz", "hotmail.cz",
	"outlook.cz", "azet.sk", "freemail.hu", "citromail.hu", "hotmail.hu", "outlook.hu", "abv.bg", "mail.bg",
	"mail.ru", "yandex.ru", "yandex.com", "rambler.ru", "bk.ru", "list.ru", "inbox.ru", "ukr.net", "i.ua",

	// Beyond Europe
	"comcast.net", "verizon.net", "att.net", "sbcglobal.net", "bellsouth.net", "cox.net", "charter.net",
	"earthlink.net", "juno.com", "aim.com", "yahoo.ca", "hotmail.ca", "live.ca", "outlook.ca", "rogers.com", "shaw.ca",
	"sympatico.ca", "videotron.ca", "bell.net", "yahoo.com.br", "hotmail.com.br", "outlook.com.br", "uol.com.br",
	"bol.com.br", "terra.com.br", "yahoo.com.mx", "hotmail.com.ar", "yahoo.com.ar", "yahoo.com.au", "live.com.au",
	"hotmail.com.au", "outlook.com.au", "bigpond.com", "yahoo.co.in", "yahoo.in", "outlook.in", "rediffmail.com",
	"yahoo.co.jp", "outlook.jp", "hotmail.co.jp", "docomo.ne.jp", "ezweb.ne.jp", "softbank.ne.jp", "naver.com",
	"daum.net", "hanmail.net", "outlook.kr", "qq.com", "163.com", "126.com", "sina.com", "foxmail.com",
	"yahoo.com.tw", "yahoo.com.hk", "hotmail.co.za", "walla.com", "walla.co.il", "hotmail.com.tr", "outlook.com.tr",
}

// neighbours are one slip away from a provider and are real: the domains of large employers, and of words that
// someone was bound to register.
var neighbours = []string{
	"aok.de", "msc.com", "msd.com", "gm.com", "gmc.com", "ge.com", "tim.it", "home.pl", "sunrise.com", "max.com",
	"sol.com", "all.com", "love.com", "life.com", "line.com", "olive.com", "alive.com", "five.com", "give.com",
	"cloud.com", "mall.com", "main.com", "gail.com", "grail.com", "key.com", "ski.com", "spy.com",
}

// topLevelSlips are mistyped top-level domains and the intended ones. All but ".co" and ".ftr" (a
// company's own, without mailboxes for the public) do not exist.
var topLevelSlips = []struct{ typed, meant string }{
	{"con", "com"}, {"cmo", "com"}, {"ocm", "com"}, {"co", "com"}, {"vom", "com"}, {"xom", "com"}, {"comm", "com"},
	{"coom", "com"}, {"ccom", "com"}, {"cpm", "com"}, {"cim", "com"}, {"clm", "com"}, {"ckm", "com"}, {"cok", "com"},
	{"cob", "com"}, {"coj", "com"}, {"dom", "com"}, {"fom", "com"},
	{"nte", "net"}, {"ent", "net"}, {"nett", "net"}, {"nnet", "net"}, {"neet", "net"},
	{"ogr", "org"}, {"rog", "org"}, {"orgg", "org"}, {"oorg", "org"}, {"orq", "org"},
	{"dee", "de"}, {"dde", "de"}, {"ed", "de"},
	{"ftr", "fr"}, {"frr", "fr"}, {"ffr", "fr"}, {"rf", "fr"},
	{"nll", "nl"}, {"nnl", "nl"}, {"ln", "nl"},
	{"dkk", "dk"}, {"ddk", "dk"}, {"kd", "dk"},
	{"bee", "be"}, {"bbe", "be"}, {"eb", "be"},
	{"att", "at"}, {"aat", "at"}, {"ta", "at"},
	{"chh", "ch"}, {"cch", "ch"}, {"hc", "ch"},
	{"ukk", "uk"}, {"ku", "uk"}, {"couk", "co.uk"},
	{"euu", "eu"}, {"ue", "eu"}, {"itt", "it"}, {"ess", "es"},
}
