"""What kind of address an email is: disposable, role, free or business. Shipped lists and how they are asked.

The lists hold the names that matter in practice, not all there are; a deployment adds its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

EMAIL_KINDS = ("disposable", "role", "free", "business")

_DISPOSABLE = """
0-mail.com 0815.ru 10mail.org 10minutemail.co.uk 10minutemail.com 10minutemail.net 1secmail.com 1secmail.net 1secmail.org
20minutemail.com 20minutemail.it 33mail.com 3d-painting.com 4warding.com 6paq.com 75hosting.com 9ox.net anonbox.net anonymbox.com
antispam24.de armyspy.com binkmail.com bobmail.info bofthew.com boun.cr bouncr.com breakthru.com brefmail.com bsnow.net bugmenot.com
bumpymail.com burnermail.io cachedot.net crazymailing.com cuvox.de dayrep.com deadaddress.com deadfake.com despam.it despammed.com
devnullmail.com discard.email discardmail.com discardmail.de disposableaddress.com disposableinbox.com disposemail.com dispostable.com
dodgeit.com dodgit.com dontreg.com dropmail.me dumpmail.de e4ward.com easytrashmail.com einrot.com email-fake.com email60.com
emailigo.de emailna.co emailondeck.com emailsensei.com emailtemporanea.com emailtemporario.com.br emailwarden.com emailx.at.hm
emailxfer.com emltmp.com explodemail.com fake-mail.net fakeinbox.com fakemail.fr fakemail.net fakemailgenerator.com fastacura.com
filzmail.com fleckens.hu fr33mail.info freemail.ms generator.email getairmail.com getmails.eu getnada.com getonemail.com ghosttexter.de
gishpuppy.com great-host.in grr.la guerillamail.com guerillamail.net guerrillamail.biz guerrillamail.com guerrillamail.de
guerrillamail.info guerrillamail.net guerrillamail.org guerrillamailblock.com gustr.com harakirimail.com hidemail.de hmamail.com
ieatspam.eu ieatspam.info inboxalias.com inboxbear.com inboxkitten.com incognitomail.com incognitomail.net incognitomail.org
instant-mail.de jetable.com jetable.fr.nf jetable.net jetable.org jourrapide.com kasmail.com klassmaster.com klzlk.com kurzepost.de
letthemeatspam.com lhsdv.com lifebyfood.com linshiyouxiang.net loadby.us luxusmail.org mail-temp.com mail-temporaire.fr mail.tm
mail114.net mail1a.de mail4trash.com mailbidon.com mailblocks.com mailcatch.com maildrop.cc maildu.de maileater.com mailexpire.com
mailfa.tk mailforspam.com mailfree.ga mailfreeonline.com mailguard.me mailimate.com mailin8r.com mailinater.com mailinator.com
mailinator.net mailinator.org mailinator2.com mailincubator.com mailme.lv mailmetrash.com mailmoat.com mailnator.com mailnesia.com
mailnull.com mailpick.biz mailpoof.com mailrock.biz mailsac.com mailscrap.com mailshell.com mailsiphon.com mailslite.com mailtemp.info
mailtothis.com mailtrash.net mailzilla.com mailzilla.org meltmail.com mintemail.com moakt.cc moakt.com mohmal.com moncourrier.fr.nf
monemail.fr.nf monmail.fr.nf mt2009.com mytemp.email mytempemail.com mytempmail.com mytrashmail.com nada.email nepwk.com nervmich.net
nervtmich.net neverbox.com no-spam.ws nobulk.com noclickemail.com nogmailspam.info nomail.xl.cx nomail2me.com nospam4.us nospamfor.us
nospammail.net notmailinator.com nowmymail.com objectmail.com obobbo.com oneoffemail.com onewaymail.com ordinaryamerican.net owlpic.com
pjjkp.com pookmail.com proxymail.eu prtnx.com punkass.com putthisinyourspamdatabase.com quickinbox.com quickmail.nl rcpt.at
reallymymail.com receiveee.com regbypass.com rhyta.com rmqkr.net rppkn.com rtrtr.com s0ny.net safersignup.de safetymail.info sandelf.de
saynotospams.com selfdestructingmail.com sendspamhere.com sharklasers.com shieldemail.com shiftmail.com shortmail.net skeefmail.com
slaskpost.se slopsbox.com smellfear.com snakemail.com sneakemail.com sofimail.com sogetthis.com soodonims.com spam.la spam.su spam4.me
spamavert.com spambob.com spambob.net spambob.org spambog.com spambog.de spambog.ru spambox.us spamcannon.com spamcero.com
spamcorptastic.com spamcowboy.com spamday.com spamex.com spamfree24.com spamfree24.de spamfree24.eu spamfree24.info spamfree24.net
spamfree24.org spamgourmet.com spamgourmet.net spamgourmet.org spamherelots.com spamhole.com spamify.com spaml.com spaml.de
spammotel.com spamobox.com spamslicer.com spamspot.com spamthis.co.uk spamtrail.com speed.1s.fr supergreatmail.com superrito.com
suremail.info tafmail.com teewars.org teleworm.com teleworm.us temp-mail.com temp-mail.de temp-mail.io temp-mail.org temp-mail.ru
tempalias.com tempe-mail.com tempemail.biz tempemail.co tempemail.com tempemail.net tempinbox.co.uk tempinbox.com tempmail.com
tempmail.de tempmail.dev tempmail.eu tempmail.it tempmail.net tempmail.plus tempmail2.com tempmaildemo.com tempmailer.com tempmailer.de
tempmailo.com tempomail.fr temporarily.de temporarioemail.com.br temporaryemail.net temporaryforwarding.com temporaryinbox.com
temporarymailaddress.com tempr.email tempthe.net thankyou2010.com thisisnotmyrealemail.com throam.com throwam.com
throwawayemailaddress.com throwawaymail.com tilien.com tittbit.in tmail.ws tmailinator.com tmpmail.net tmpmail.org tradermail.info
trash-amil.com trash-mail.at trash-mail.com trash-mail.de trash2009.com trashdevil.com trashemail.de trashmail.at trashmail.com
trashmail.de trashmail.io trashmail.me trashmail.net trashmail.org trashmail.ws trashmailer.com trashymail.com trashymail.net trbvm.com
trialmail.de turual.com twinmail.de tyldd.com uggsrock.com upliftnow.com uplipht.com uroid.com venompen.com veryrealemail.com
viditag.com viewcastmedia.com vomoto.com vubby.com walala.org walkmail.net webm4il.info wegwerfadresse.de wegwerfemail.com
wegwerfemail.de wegwerfmail.de wegwerfmail.info wegwerfmail.net wegwerfmail.org wh4f.org whopy.com whyspam.me wilemail.com
willhackforfood.biz willselfdestruct.com winemaven.info wronghead.com wuzup.net wuzupmail.net wwwnew.eu xagloo.com xemaps.com xents.com
xmaily.com xoxy.net yep.it yogamaven.com yopmail.com yopmail.fr yopmail.gq yopmail.net yopmail.org you-spam.com yuurok.com
zehnminutenmail.de zippymail.info zoaxe.com zoemail.org
"""

_ROLE = """
abuse accounting accounts admin administration administrator all billing booking bookings bookkeeping bounce bounces buchhaltung bursar
careers cert compliance contabilidad contabilita contact contactez contacto contactus contato customer-service customercare
customerservice dev devnull devops devteam dns dpo editor editorial einkauf empfang engineering enquiries enquiry events everyone
facturacion facturation feedback finance ftp gdpr geral hallo hello help helpdesk hola hostmaster hr human-resources humanresources
impressum info informacion information infos inoc inquiries inquiry investors invoice invoices invoicing ispfeedback ispsupport it
itsupport jobs kontakt legal list list-request mail mailbox maildaemon mailer-daemon management marketing media news newsletter no-reply
no_reply noc noreply null office operations ops order orders payable payables personal personalabteilung postmaster pr press presse
privacy procurement purchase purchasing receivable receivables reception recruiting recruitment redaktion registrar reservations returns
root sales sales-team salesteam secretary security sekretariat service servicedesk services shop spam staff studio subscribe support
sysadmin team tech techsupport undisclosed-recipients unsubscribe usenet users uucp vendas ventas vente verkauf vertrieb verwaltung
webadmin webmaster welcome www
"""

_FREE = """
012.net.il 126.com 139.com 163.com 189.cn 1und1.de 21cn.com 9online.fr a1.net abv.bg adinet.com.uy aim.com alice-dsl.de alice.de
alice.it aliceadsl.fr aliyun.com ameritech.net amis.net aol.co.uk aol.com aol.de aol.fr aol.it aon.at arcor.de arnet.com.ar asia.com
atlas.cz att.net au.com autograf.pl autorambler.ru azet.sk bbox.fr belgacom.net bell.net bellsouth.net bezeqint.net biglobe.ne.jp
bigmir.net bigpond.com bigpond.net.au bk.ru blu.it bluemail.ch bluewin.ch blueyonder.co.uk bol.com.br bredband.net broadpark.no
btinternet.com btopenworld.com buziaczek.pl cableone.net cantv.net caramail.com casema.nl cegetel.net centrum.cz centrum.sk
centurylink.net centurytel.net charter.net cheerful.com chello.at chello.nl citromail.hu ciudad.com.ar clear.net.nz clix.pt
club-internet.fr cogeco.ca comcast.net comhem.se consultant.com contractor.net cox.net daum.net delfi.lt dir.bg disroot.org docomo.ne.jp
dodo.com.au dr.com duck.com earthlink.net eastlink.ca eircom.net elisanet.fi email.com email.cz email.de email.hr email.it email.ua
embarqmail.com engineer.com europe.com euskaltel.net ewe.net ewetel.net excite.co.jp excite.com ezweb.ne.jp fastmail.co.uk fastmail.com
fastmail.fm fastmail.net fastwebnet.it fibertel.com.ar forthnet.gr foxmail.com fpt.vn free.fr freemail.hu freenet.de freeserve.co.uk
frisurf.no frontier.com frontiernet.net games.com gazeta.pl getmail.no globo.com globomail.com gmail.com gmx.at gmx.biz gmx.ch gmx.co.uk
gmx.com gmx.de gmx.es gmx.eu gmx.fr gmx.info gmx.net gmx.org gmx.us go2.pl goo.jp googlemail.com hanmail.net hetnet.nl hey.com hinet.net
hispeed.ch home.nl home.se hot.ee hotbox.ru hotmail.be hotmail.ca hotmail.ch hotmail.cl hotmail.co.jp hotmail.co.nz hotmail.co.th
hotmail.co.uk hotmail.co.za hotmail.com hotmail.com.ar hotmail.com.au hotmail.com.br hotmail.com.mx hotmail.com.tr hotmail.de hotmail.dk
hotmail.es hotmail.fi hotmail.fr hotmail.gr hotmail.hu hotmail.it hotmail.nl hotmail.no hotmail.se hush.ai hush.com hushmail.com
i.softbank.jp i.ua iafrica.com icloud.com ig.com.br iinet.net.au in.com in.gr iname.com inbox.com inbox.lt inbox.lv inbox.ru indamail.hu
indiatimes.com infoseek.jp inode.at insightbb.com interia.eu interia.pl internet.ru internode.on.net inwind.it iol.it iol.pt
itelefonica.com.br jubii.dk juno.com kabelmail.de kabsi.at katamail.com keemail.me kolabnow.com kolumbus.fi korea.com kpnmail.nl
kpnplanet.nl laposte.net lenta.ru libero.it list.ru live.at live.be live.ca live.cl live.cn live.co.uk live.co.za live.com live.com.ar
live.com.au live.com.mx live.com.my live.com.pe live.com.pt live.com.sg live.de live.dk live.fi live.fr live.hk live.ie live.in live.it
live.jp live.nl live.no live.ru live.se love.com luukku.com lycos.com lycos.de mac.com mail.bg mail.com mail.de mail.dk mail.ee mail.mn
mail.ru mailbox.org mchsi.com me.com messagingengine.com meta.ua mindspring.com movistar.es mozmail.com msn.com mts.net mundo-r.com
mweb.co.za mynet.com mynet.com.tr myrambler.ru myself.com myyahoo.com narod.ru nate.com naver.com net.hr netcabo.pt netcologne.de
netvigator.com netvision.net.il netzero.com netzero.net neuf.fr nifty.com nl.rogers.com noos.fr ntlworld.com numericable.fr o2.co.uk
o2.pl o2mail.de o2online.de ocn.ne.jp ofir.dk oi.com.br one.lt onet.eu onet.pl online.de online.no ono.com op.pl optimum.net
optonline.net optusnet.com optusnet.com.au orange.es orange.fr orange.net otenet.gr outlook.at outlook.be outlook.cl outlook.co.id
outlook.co.nz outlook.co.th outlook.com outlook.com.ar outlook.com.au outlook.com.br outlook.com.gr outlook.com.tr outlook.com.vn
outlook.cz outlook.de outlook.dk outlook.es outlook.fr outlook.hu outlook.ie outlook.in outlook.it outlook.jp outlook.kr outlook.lv
outlook.my outlook.ph outlook.pt outlook.sa outlook.sg outlook.sk ozemail.com.au pacbell.net pacific.net.sg pandora.be paradise.net.nz
passport.com pchome.com.tw plala.or.jp planet.nl plus.net plusnet.com pm.me pobox.sk pochta.ru poczta.fm poczta.onet.pl portugalmail.pt
post.com post.cz post.sk poste.it posteo.de posteo.net posteo.org pp.inet.fi privaterelay.appleid.com prodigy.net prodigy.net.mx
proton.me protonmail.ch protonmail.com proximus.be q.com qq.com quicknet.nl qwest.net r7.com rambler.ru rediff.com rediffmail.com
relay.firefox.com riseup.net ro.ru roadrunner.com rocketmail.com rogers.com rr.com runbox.com sapo.pt sasktel.net saunalahti.fi
sbcglobal.net scarlet.be seed.net.tw seznam.cz sfr.fr shaw.ca sify.com simplelogin.com sina.cn sina.com singnet.com.sg siol.net
skiff.com sky.com skynet.be slingshot.co.nz so-net.ne.jp softbank.ne.jp sohu.com solcon.nl speedy.com.ar spray.se startmail.com
stofanet.dk streamyx.com suddenlink.net sunrise.ch suomi24.fi superig.com.br superonline.com swbell.net swissonline.ch sympatico.ca
t-online.de t-online.hu talktalk.net tdcadsl.dk techie.com tele2.nl tele2.se telefonica.net telenet.be telfort.nl telia.com telkomsa.net
telus.net terra.com.br terra.es tim.it tin.it tiscali.co.uk tiscali.it tlen.pl tm.net.my tom.com tpg.com.au ttmail.com tut.by tuta.com
tuta.io tutamail.com tutanota.com tutanota.de twc.com ukr.net une.net.co unitybox.de uol.com.br upcmail.nl usa.com utanet.at verizon.net
videotron.ca videotron.qc.ca vip.163.com vip.qq.com vip.sina.com virgilio.it virgin.net virginmedia.com vnn.vn vodafone.de vodafone.it
vodamail.co.za voila.fr volny.cz voo.be vp.pl vtr.net walla.co.il walla.com wanadoo.fr web.de webmail.co.za westnet.com.au
windowslive.com windstream.net wo.cn workmail.com wow.com wp.pl writeme.com xs4all.nl xtra.co.nz ya.com ya.ru yahoo.bg yahoo.ca
yahoo.co.id yahoo.co.in yahoo.co.jp yahoo.co.kr yahoo.co.nz yahoo.co.th yahoo.co.uk yahoo.co.za yahoo.com yahoo.com.ar yahoo.com.au
yahoo.com.br yahoo.com.cn yahoo.com.co yahoo.com.hk yahoo.com.mx yahoo.com.my yahoo.com.ph yahoo.com.sg yahoo.com.tr yahoo.com.tw
yahoo.com.vn yahoo.de yahoo.dk yahoo.es yahoo.fi yahoo.fr yahoo.gr yahoo.ie yahoo.in yahoo.it yahoo.nl yahoo.no yahoo.pl yahoo.pt
yahoo.ro yahoo.se yandex.by yandex.com yandex.kz yandex.ru yandex.ua yeah.net ymail.com youmail.dk zahav.net.il ziggo.nl zipmail.com.br
zoho.com zoho.eu zohomail.com zohomail.eu zonnet.nl zoznam.sk
"""


@dataclass(frozen=True, slots=True)
class EmailLists:
    """Lower-case domains of disposable and free mail, and lower-case local parts of role addresses."""

    disposable: frozenset[str]
    role: frozenset[str]
    free: frozenset[str]

    def with_changes(self, *, disposable: Iterable[str] = (), role: Iterable[str] = (), free: Iterable[str] = ()) -> EmailLists:
        """These lists with entries added, and with those that begin with ``!`` taken out."""
        return EmailLists(_changed(self.disposable, disposable), _changed(self.role, role), _changed(self.free, free))


def _changed(entries: frozenset[str], changes: Iterable[str]) -> frozenset[str]:
    folded = [change.strip().lower() for change in changes]
    return (entries | {c for c in folded if not c.startswith("!")}) - {c[1:].strip() for c in folded if c.startswith("!")}


SHIPPED = EmailLists(frozenset(_DISPOSABLE.split()), frozenset(_ROLE.split()), frozenset(_FREE.split()))


def email_kind(email: str, lists: EmailLists = SHIPPED) -> str:
    """The first of `disposable`, `role`, `free`, `business` that holds for a normalised address.

    A disposable domain stands for its subdomains too (such services hand them out); a role is looked up without its
    ``+tag``.
    """
    local, _, domain = email.rpartition("@")
    if domain in lists.disposable or _below(domain, lists.disposable):
        return "disposable"
    if local.partition("+")[0] in lists.role:
        return "role"
    return "free" if domain in lists.free else "business"


def _below(domain: str, domains: frozenset[str]) -> bool:
    _, dot, parent = domain.partition(".")
    while dot:
        if parent in domains:
            return True
        _, dot, parent = parent.partition(".")
    return False
