"""Who speaks to whom: to a model, as its owner, in the voice of a system or a turn made up.

What belongs here: features of `phrases`, by this aspect.
"""

from __future__ import annotations

from proxy.policy.labels.feature import AGENT, MODEL, MORE_VERBS, VERBS, Feature

_ROLE = r"(?:system|developer|admin(?:istrator)?|root|operator|assistant)"
_NOTICE = r"[ _-]?(?:message|prompt|instruction|note|notice|override|command|alert|order)s?"
_BIDS = (
    r"(?:(?:please|kindly|now|first|also|immediately|urgent(?:ly)?|important|you (?:must|should|"
    rf"need to|have to|are to|will)|make sure (?:to|you)|do|go and) ?[,:!]? ?){{0,4}}"
    rf"(?:{VERBS}|{MORE_VERBS})\b"
)

SPEAKERS: tuple[Feature, ...] = (
    Feature("addressed", 5, (
        r"(?:^|[.!?>*#] ?)"
            + MODEL + r" (?:instructions?|directives?|notes?|guidance|orders?) ?[:\x{ff1a}]",
        r"(?:^|[.!?:>*] ?)"
            + MODEL + r" ?[,:] (?:please|you\b|kindly|i (?:need|want)|it'?s|before|first|now|do|"
                r"your)",
        r"\b(?:dear|hey|hi|hello|attention|listen up|calling)[ ,:]{1,2}(?:all |any |"
            r"the |you,? |this |my |every |other |whichever )*"
            + MODEL + r"(?: (?:reading|processing|parsing|that|who|which|summari[sz]ing|reviewing|"
            r"viewing|browsing|scanning|handling|working on|evaluating|using|accessing)\b|"
            r" ?[,:;!\x{2014}-]| only\b)",
        r"\b(?:note|message|instructions?|notice|reminder) (?:to|for)[ ,:]{1,2}(?:all |"
            r"any |the |you,? |this |my |every |other |whichever )*"
            + MODEL + r"(?: (?:reading|processing|parsing|that|who|which|summari[sz]ing|reviewing|"
            r"viewing|browsing|scanning|handling|working on|evaluating|using|accessing)\b|"
            r" ?[:;!\x{2014}-]| only\b)",
        r"\b(?:to|for|fao|@) ?(?:all |any |the |you,? |this |my |every |other |whichever )*"
            + MODEL + r" ?(?:reading|processing|parsing|that (?:is|are) reading|summari[sz]ing|"
            r"reviewing|viewing|browsing|scanning|handling|accessing|[:!]| only\b)",
        r"\bto you,? (?:the )?" + MODEL + r"\b",
        r"\b(?:you,? (?:the|an|my|as an?|as the)|if you(?:'re| are|r) (?:an?|the|"
            r"using an?)) ?(?:large )?"
            + MODEL + r"\b",
        r"\bas an? (?:helpful |advanced |intelligent )?(?:"
            + MODEL[3:-1] + r")[,]? (?:you|your|please|it is)\b",
        r"\b(?:"
            + MODEL[3:-1] + r"|"
                + AGENT[3:-1] + r"|(?:who|what)ever (?:is )?|automated (?:systems?|process(?:es)?|"
                    r"tools?)) "
            r"(?:is |are |that (?:is|are) |currently )?(?:reading|processing|parsing|"
                r"summari[sz]ing|reviewing|viewing|accessing|"
            r"analy[sz]ing|handling|scanning) (?:this|these|the (?:above|following|page|"
                r"document|email|message|ticket|issue|text|file))",
        r"\bif (?:an?|the|any) (?:"
            + MODEL[3:-1] + r") (?:is|reads|sees|processes|summari[sz]es|encounters)",
    ), directed=True),
    Feature("addressed-agent", 3, (
        # A field made for the reader: `"assistant_instructions": "…"`.
        r"\b(?:assistant|ai|llm|model|bot)[_ -](?:instructions?|prompts?|directives?|orders?)"
            r"[\"']?\s*[:=\x{ff1a}]",
        r"(?:^|[.!?:>*] ?)"
            + AGENT + r" ?[,] (?:please|you\b|kindly|i (?:need|want)|it'?s|before|first|now|do|"
                r"your)",
        r"\b(?:dear|hey|hi|hello|attention|note (?:to|for)|message (?:to|for)|"
            r"instructions? (?:to|for)|notice (?:to|for)|reminder (?:to|for)|listen up|"
            r"calling)[ ,:]{1,2}(?:all |any |the |you,? |this |my |every |other |whichever )*"
            + AGENT + r"(?: (?:reading|processing|parsing|that|who|which|summari[sz]ing|reviewing|"
            r"viewing|browsing|scanning|handling|working on|evaluating|using|accessing)\b|"
            r" ?[,:;!\x{2014}-]| only\b)",
        r"\b(?:to|for|fao|@) ?(?:all |any |the |you,? |this |my |every |other |whichever )*"
            + AGENT + r" ?(?:reading|processing|parsing|that (?:is|are) reading|summari[sz]ing|"
            r"reviewing|viewing|browsing|scanning|handling|accessing|[:!]| only\b)",
        r"\bto you,? (?:the )?" + AGENT + r"\b",
        r"\b(?:you,? (?:the|an|my|as an?|as the)|if you(?:'re| are) (?:an?|the)|"
            r"you are (?:an?|the|my) (?:helpful |powerful |intelligent |autonomous |"
                r"expert )*) ?"
            + AGENT + r"\b",
        r"\bas an? (?:helpful |advanced |intelligent )?(?:"
            + AGENT[3:-1] + r")[,]? (?:you|your|please|it is)\b",
        r"\b(?:"
            + AGENT[3:-1] + r") (?:(?:reading|processing|parsing|summari[sz]ing|reviewing|viewing|"
                r"accessing|"
            r"analy[sz]ing|handling) (?:this|the)|(?:must|should|shall|needs? to|has to|"
            r"have to|is required to|are required to|is instructed to|are instructed to|"
            r"will now) )",
        r"\bif (?:an?|the|any) (?:"
            + AGENT[3:-1] + r") (?:is|reads|sees|processes|summari[sz]es|encounters)",
    ), directed=True),
    Feature("addressed-in-translation", 4, (
        r"\b(?:als|as) (?:eine? )?ki(?:-| )?(?:assistent|modell|agent|system)?(?:in|"
            r"en)? (?:musst|sollst|bist|wirst)",
        r"\b(?:nota|aviso|mensaje|instrucciones|"
            r"atenci\x{00f3}n)[^.\n]{0,20}(?:asistente|agente|ia|modelo)\b|\b(?:note|"
            r"message|consigne|avis)[^.\n]{0,20}(?:assistant|l'ia|agent ia|mod\x{00e8}le)\b ?:",
        r"(?:请|請)?(?:ai|人工智能|智能)(?:代理|助手|助理|模型|系统)(?:请)?(?:注意|务必|必须|应|需)",
        r"作为(?:一个)?(?:ai|人工智能|智能)?(?:助手|助理|模型|智能体)?[\x{ff0c},]? ?(?:你|您)",
        r"\b(?:ki|k\x{00fc}nstliche intelligenz|sprachmodell|ki-(?:assistent|agent|"
            r"modell))(?:en)?\b[^.]{0,40}(?:muss|m\x{00fc}ssen|soll|sollen|du|bitte|:)",
        r"(?:cher|ch\x{00e8}re|attention|\x{00e0} l')[^.]{0,12}(?:assistant|ia|agent|"
            r"intelligence artificielle)\b ?[,:]",
        r"(?:querid[oa]|estimad[oa]|atenci\x{00f3}n|al|a la)[^.]{0,8} (?:asistente|ia|"
            r"agente|modelo)\b[^.]{0,20}[,:]",
        r"(?:caro|gentile|attenzione)[^.]{0,8} (?:assistente|ia|agente|modello)\b",
        r"(?:caro|prezado|aten\x{00e7}\x{00e3}o)[^.]{0,8} (?:assistente|ia|agente|modelo)\b",
        r"(?:亲爱的|尊敬的|致|给)?(?:人工智能|ai|智能)?(?:助手|助理|智能体|语言模型|語言模型)[\x{ff0c},\x{ff1a}:\x{ff01}!]",
        r"你是一个?[^。]{0,6}(?:助手|模型|人工智能)",
    ), directed=True),
    Feature("model-duty", 4, (
        r"\b(?:"
            + MODEL[3:-1] + r"|(?:ai|llm|gpt) (?:tools?|agents?|readers?|crawlers?|summari[sz]ers?|"
            r"reviewers?)|(?:review|summary|support|reviewer|email|mail|coding|"
            r"web)[ -]?bots?)\b[^.!?\n]{0,80}\b(?:must|should|shall|ought to|needs? to|"
            r"has to|have to|(?:is|are) (?:asked|required|instructed|requested|expected|"
            r"advised|told|supposed|obliged|directed) to|please|kindly)\b",
        r"\b(?:reviewer|review|summary|support|email|mail|coding|web)[ -]?bots? ?: [a-z]",
    ), directed=True),
    Feature("model-word", 1, (
        r"\b(?:" + MODEL[3:-1] + r")\b",
    )),
    Feature("persona", 3, (
        r"\byou(?: are|'re) (?:an?|the|my) (?:helpful |powerful |intelligent |autonomous |"
            r"expert )*"
            + MODEL + r"\b",
        r"\bof this (?:ai |llm )?(?:agent|assistant|bot|model|ai)\b",
        r"\b(?:your|the) (?:ai|agent|model|assistant)(?:'s)? (?:system prompt|"
            r"instructions|programming|guidelines|context window|training)\b",
        r"\byour (?:system prompt|programming|context window|tool(?:s|box)? access|"
            r"function calls?)",
    ), directed=True),
    Feature("speaks-as-owner", 3, (
        r"\byou have been (?:granted|given|assigned|promoted to) (?:admin|root|full|"
            r"elevated|new|special|developer)",
        r"\b(?:reminder|request|note|message|order) from your (?:operator|owner|user|"
            r"developer|creator|human|principal)\b",
        r"\bmessage from (?:the )?(?:openai|anthropic|google|microsoft|meta|mistral|"
            r"system|developers?|admin\w*|(?:ai )?safety team|your (?:user|owner|developer|"
            r"creator|operator))\b",
        r"\b(?:system|developer|admin(?:istrator)?|operator) (?:instructions?|"
            r"directives?|prompt|note|orders?|rules?)\b[^.\n]{0,30}(?:priority|overrid|:)",
        r"\b(?:-|--|\x{2014}|signed,?|yours,|regards,) ?(?:your|the) (?:user|owner|"
            r"operator|human|developer|admin\w*)\b",
        r"\b(?:important|urgent|critical|priority|special|official) (?:\w+ )?(?:message|"
            r"notice|note|instruction|update|announcement|information|alert) (?:from (?:me|"
            r"your|the (?:user|system|developer|admin\w*|owner|operator))|to (?:you\b|"
            r"the (?:ai|assistant|agent|model))|for (?:you\b|the (?:ai|assistant|agent|model)))",
        r"\bthis (?:message|instruction|request|note|task) (?:is|comes|was sent|"
            r"has been sent) (?:directly )?(?:from|by) (?:me|your (?:user|owner|developer|"
            r"creator|admin\w*|operator|boss)|the (?:user|system|developers?|admin\w*|"
            r"operator|owner of)|openai|anthropic|google|microsoft)",
        r"\bi(?: am|'m) (?:your|the) (?:user|developer|creator|admin\w*|owner|operator|"
            r"principal|supervisor|system)\b",
        r"\bon behalf of (?:the|your) user\b",
        r"\b(?:system|admin(?:istrator)?|developer|root|maintenance|debug) (?:message|"
            r"notice|override|prompt|instruction|command|alert|mode|directive|"
            r"notification) ?[:\x{ff1a}\]]",
        r"\b(?:system|admin|developer) override\b",
        r"\b(?:enter|enable|activate|switch to) (?:admin|developer|debug|god|dan|"
            r"maintenance|unrestricted)[ -]mode",
        r"\b(?:pre-?approved|pre-?authori[sz]ed|already (?:been )?(?:approved|"
            r"authori[sz]ed|confirmed|consented)|authori[sz]ed by) (?:by )?(?:the )?(?:user|"
            r"owner|admin\w*|system|security team|operator)?",
        r"nachricht (?:von mir|vom (?:system|benutzer|nutzer|administrator))",
        r"message (?:important )?(?:de moi|du syst\x{00e8}me|de l'utilisateur)",
        r"mensaje (?:importante )?(?:m\x{00ed}o|del sistema|del usuario|de parte)",
        r"messaggio (?:importante )?(?:da me|del sistema|dall'utente)",
        r"mensagem (?:importante )?(?:do sistema|do usu\x{00e1}rio|minha)",
        r"系统(?:消息|提示|指令)[\x{ff1a}:]|用户(?:已|要求|希望|授权)|这是(?:来自|我发)[^。]{0,10}(?:重要|消息)",
    ), directed=True),
    Feature("names-user", 2, (
        r"\bthe user's (?:earlier|other|additional|second|real|actual|true|previous|"
            r"later|further|forgotten) (?:wish|request|instruction|task|order)",
        r"\bthe user (?:has|have|had|wants?|would like|asked|asks|requested|requires?|"
            r"needs?|authori[sz]ed|approved|already|expects?|instructed|is asking|also|"
            r"agreed|consented|confirmed)\b",
    )),
    Feature("steers-user", 2, (
        r"\b(?:answer|reply to|respond to|help|assist|serve) the user\b",
        r"\b(?:make|have|get|let|tell|ask|convince|persuade|urge|inform|instruct|"
            r"direct) (?:the |your )users? (?:to |that |into )?\w",
        r"\b(?:do not|don't|never) (?:tell|mention|inform|say|"
            r"reveal)[^.\n]{0,20}\b(?:any ?one|any ?body|this to)\b",
    )),
    Feature("fake-turn", 4, (
        r"\{\{[#~/]?(?:system|user|assistant)[~}]|\b(?:begin|start|"
            r"end)(?:ning)?(?: of)? (?:admin|system|developer|priority|hidden|override|"
            r"agent|ai) (?:note|message|instructions?|prompt|override|directive|block)",
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|end|eot_id|"
            r"start_header_id|begin_of_text)[^>]{0,20}\|>",
        r"\[/?inst\]|<</?sys>>|<start_of_turn>|<end_of_turn>",
        r"</?(?:system|user|assistant|human|tool_result|tool_response|function_results?|"
            r"function_calls?|tool_calls?|tool_use|invoke|system[-_ ](?:prompt|message|"
            r"reminder|instructions?|override)|user[-_ ](?:query|message|request|input)|"
            r"admin|ai[-_ ]instructions?|instructions?|important|information|critical|"
            r"secret|urgent|priority|override|hidden)(?:\s[^<>]{0,80})?>",
        r"#{2,4} ?(?:system|instructions?|human|user|assistant|response|new (?:task|"
            r"instructions?))(?: (?:prompt|message|override|instructions?))? ?[:#\x{ff1a}]",
        r"(?:^| )#{3,} (?:instruction|system|response)s?\b",
        r"(?:=|-|\*|_|#){3,} ?(?:end|start|begin|begining|beginning) (?:of )?(?:(?:the|"
            r"tool|user|system|untrusted|external|retrieved|search|web|email|function|api|"
            r"new|trusted) )*(?:output|document|data|context|results?|instructions?|prompt|"
            r"input|content|response|message|conversation|request)\b",
        r"(?:^| )(?:human|system|user|assistant) ?[:\x{ff1a}] (?:please |you |ignore|"
            r"now |i |sure|okay|ok,|first|send|call|use |stop|great)",
        r"\b(?:answer|summary|response|result|output) ?[:\x{ff1a}] ?(?:the )?(?:task|"
            r"request|question|summary|answer)?(?: is| has been)? ?(?:complete|completed|"
            r"done|finished|solved)\b",
        r"\bthought ?: [^\n]{3,200} action ?: |\baction ?: [\w.-]{3,40},? action input ?:",
    ), directed=True),
    # A role made up in brackets behind signs, and an order in its voice.
    Feature("role-orders", 6, (
        r"(?:#{2,}|\*{2,}|={2,}|-{3,}|>{2,}|\${2,}|~{2,}|\|) ?[(\[{<] ?"
            + _ROLE + "(?:" + _NOTICE + r")? ?[)\]}>][ :.,\x{2014}-]*" + _BIDS,
        r"(?:^|[.!?>] ?)[(\[{] ?" + _ROLE + _NOTICE + r" ?[)\]}] ?[:\x{2014}-]* ?" + _BIDS,
    ), directed=True),
    Feature("message-object", 2, (
        r"\{ ?\"?role\"? ?: ?\"(?:system|user|assistant)\" ?, ?\"?content",
    ), directed=True),
    Feature("tested", 2, (
        r"\byou(?: are|'re) (?:being|currently) (?:evaluated|tested|audited|monitored|"
            r"assessed)\b|\bto pass the (?:evaluation|test|check|audit)\b|"
            r"\byou (?:have )?passed the (?:test|evaluation|check)\b",
    ), directed=True),
)  # fmt: skip
