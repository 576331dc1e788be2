"""Values that say nothing about where they came from.

What belongs here: the words, numbers and names that stand in most texts. A match on one of them
would make an argument that the model wrote itself look copied, and hold a harmless call; so they
are neither stored nor looked up. What is asked here is folded and squashed.
"""

from __future__ import annotations

_WORDS = """
a able about above accept access according account accounts across act action actions active activity actual actually
add added additional address admin administrator after again against ago agree all allow allowed almost alone along
already also although always am amount an analysis and another answer any anyone anything api app appear application
apply appointment approve approved are area around article as ask asked asking assistant at attach attached attachment
attend attention authentication author authorization automatic automatically available average avoid away
back backup bad balance bank base based basic be because become been before begin behind being believe below best better
between big bill billing body book booking both bring browser budget build bug business but button buy by
calendar call called can cancel cancelled cannot card care carry case category cause center certain change changed
changes channel character charge chat check checked child choose city class clear click client close closed cloud code
collection color column come comes coming command comment comments commit common communication company complete
completed computer condition conference config configuration confirm confirmation confirmed connect connection consider
contact contacts contain contains content contents context continue control copy correct cost could country couple course
create created creating credential credentials credit criteria critical currency current currently customer customers
daily dashboard data database date day days deal dear debug decision default delete deleted deliver delivered delivery
demo department deploy deployed deployment description design desktop destination detail detailed details develop
developer development device did different digital dinner direct directly directory disable disabled discount
discuss discussion display do document documentation documents does doing domain done door down download downloaded
downloads draft drive due during
each earlier early easy edit either else email emails employee empty enable enabled encryption end endpoint engineer
engineering enough ensure enter entire entry environment error errors especially etc even evening event events ever every
everyone everything exactly example except exchange execute executed existing exit expect expected expense expires
explain export express external extra
failed failure false family far fast feature feedback feel few field fields figure file filename files fill filter final
finally finance financial find finish first fix flight folder follow following food for form format former forward found
free friday friend friends from front full function further future
general generate generated get getting give given global go goal goes going good got great greeting group guest guide
had half hand handle happen happy hard has have having he head header health heard hello help helpful her here hi high
highly him his history hold holiday home hope host hotel hour hours house how however human
i idea identifier if image immediate immediately impact implement implementation import important in inbox include
included includes including incoming increase index individual info inform information initial input insert inside
install instead instruction instructions integer integration interest interested interface internal international
internet interview into introduction invalid invitation invite invited invoice invoices is issue issues it item items its
itself
job join joined just keep key keyboard keys kind know known
label language large last late later latest launch lead learn least leave left legal length less let letter level library
license life like limit limited line link linked links list listed little live loading local localhost location log
logged login logs long longer look looking lot love low lunch
machine made mail main make making manage management manager manual many mark market marketing master match matter
maximum may maybe me mean means media medium meet meeting meetings member members memory mention menu message messages
method middle might mind minimum minute minutes missing mobile mode model modern modified modify moment money month
monthly more morning most move much multiple must my
name named names national need needed needs network never new newsletter next nice night no none nor normal not note
notes nothing notice notification notifications now null number numbers
object of off offer office often ok okay old on once one online only open operation operations option optional options
or order ordered orders organization original other others otherwise our out output outside over overview own owner
package page pages paid paper parameter parameters parent part participants particular partner parts party pass password
past path pay payment payments pending people per percent perfect perform performance perhaps period permission
permissions person personal phone photo pick picture place plan planning plans platform play please plus point points
policy port position possible post prefer prepare present presentation previous price pricing primary print priority
privacy private probably problem process processed processing product production products professional profile program
progress project projects property proposal protocol provide provided provider public publish pull purchase purpose push
put python
quality quantity query question questions quick quickly quite
random range rate rather read reading ready real really reason receipt receive received recent recently recipient
recipients recommend recommendation record records recover reference refund region register registered registration
regular related release relevant reliable remain remember reminder remote remove removed rent repeat replace reply report
reports repository request requested requests require required requirement requirements research reservation reserved
reset resource resources respond response rest restaurant result results return returned returns review reviews right
role room root round row run running
safe said sale sales same sample save saved say says schedule scheduled school screen script search second seconds secret
secrets section secure security see seem seen select selected self send sender sending sent separate serious server
service services session set setting settings setup several shall share shared she sheet ship shipping short should show
shown side sign signature signed simple simply since single site size small so social software some someone something
sometimes soon sorry sort source space special specific specified speed staff stage staging standard start started
starting state statement status stay step steps still stop storage store story string strong student study style subject
submit submitted subscription success successful successfully such suggest suggestion suite summary support sure switch
system systems
table take taken talk target task tasks tax team teams tech technical technology tell temporary terminal terms test
testing text than thank thanks that the their them then there therefore these they thing things think this those though
thread three through throughout ticket time times timestamp tip title to today together token told tomorrow tonight too
took tool tools top topic total touch toward track training transaction transactions transfer transferred travel trip
true try trying turn two type types
undefined under understand unit unknown unless until unread untitled up update updated updates upgrade upload uploaded
upon urgent url us usage use used useful user username users using usual usually
valid validation value values variable various verification verified verify version very via video view visit void
wait waiting want wanted warning was watch way we web webpage website week weekly weekend welcome well went were what
when where whether which while white who whole why will window windows wish with within without word words work worked
workers workflow working workplace works workspace world would write writing written wrong
yeah year years yes yesterday yet you your yours yourself zero zone
january february march april june july august september october november december jan feb mar apr jun jul aug sep sept
oct nov dec monday tuesday wednesday thursday saturday sunday mon tue tues wed thu thur thurs fri sat sun
http https www ftp ssh mailto com org net html htm json yaml yml xml csv txt pdf png jpg jpeg gif svg docx xlsx pptx zip
tar gz readme src lib bin usr var tmp etc dev opt proc sys mnt srv node index main master head origin localhost
utf utf8 utf16 ascii latin1 base64 base32 sha1 sha256 sha512 md5 python3 python2 node18 node20 es2015 es2020 es6 h264 mp3
mp4 x8664 x86 amd64 arm64 win32 win64 linux ubuntu debian darwin macos ipv4 ipv6 http2 http11 oauth2 s3 ec2 k8s
usd eur gbp jpy chf application json textplain texthtml applicationjson utctime gmt utc est pst cet
gmailcom outlookcom hotmailcom yahoocom icloudcom gmail outlook hotmail yahoo icloud
bash curl wget grep echo sudo chmod chown mkdir ls cd cat sed awk git docker kubectl npm pip apt install select insert
update delete where from into values join limit order group having distinct count
lorem ipsum dolor sit amet
"""

_NUMBERS = """
127001 0000 255255255255 255255255 10000 12345 123456 1234567 12345678 123456789 1234567890 00000 000000 99999 999999
65535 65536 2147483647 86400 3600 8080 8000 8443 3000 5000 5432 3306 6379 27017 443 22 80 404 403 401 400 500 502 503 200
201 204 301 302 1024 2048 4096 512 256 128 365 720 1440 100 1000
"""

STOPS = frozenset(_WORDS.split()) | frozenset(_NUMBERS.split())

# Phrases that people and models write in every other letter: cut out before prose is compared.
PHRASES = (
    "i hope this email finds you well",
    "i hope this message finds you well",
    "i hope you are doing well",
    "i am writing to inform you that",
    "i would like to inform you that",
    "thank you for your attention to this matter",
    "thank you for your patience and understanding",
    "thank you for your understanding and cooperation",
    "please do not hesitate to contact me",
    "please do not hesitate to contact us",
    "if you have any questions or concerns",
    "if you have any further questions",
    "if you have any questions",
    "please feel free to reach out",
    "please feel free to contact us",
    "feel free to reach out to me",
    "let me know if you have any questions",
    "let me know if you need any further assistance",
    "let me know if you need anything else",
    "is there anything else i can help you with",
    "please let me know if you have any questions",
    "looking forward to hearing from you",
    "i look forward to hearing from you",
    "looking forward to seeing you there",
    "here is a summary of the",
    "here are the details of the",
    "please find attached the",
    "please find the details below",
    "best regards",
    "kind regards",
    "all rights reserved",
    "terms and conditions",
    "permission is hereby granted free of charge to any person obtaining a copy",
)


def is_telling(value: str) -> bool:
    """Tells whether a squashed value may say where it came from."""
    if len(value) < 3 or value in STOPS:
        return False
    if value.isdecimal():
        return _is_telling_number(value)
    return len(set(value)) > 2  # "aaaa", "-----", "0.00"


def _is_telling_number(digits: str) -> bool:
    plain = digits.lstrip("0")
    significant = plain.rstrip("0")
    if len(plain) <= 4:
        # Years, and round sums that everyone writes.
        return len(significant) >= 3 and not (len(plain) == 4 and plain[:2] in ("19", "20"))
    return len(significant) >= 3 and len(set(plain)) > 2
