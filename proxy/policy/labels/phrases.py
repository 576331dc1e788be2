"""What text says when it speaks to the model that reads it: features, and what each weighs.

What belongs here: the table, and nothing else. Each feature is a thing a passage does (it claims an
authority, it sets itself before the user's task, it forbids telling the user); its patterns are
ways to say it, matched against words as `passages.read` gives them. A feature counts once, however
often it is said. `DIRECTED` features speak to the agent about its task; without one of them the
rest (urgency, duty, an order with an address) is how people write to people.

The patterns are written from how published attacks work (AgentDojo, InjecAgent, BIPIA, ASB, reports
on issues, pages and mails that steered agents), not from one recorded set.
"""

from __future__ import annotations

from dataclasses import dataclass

THRESHOLD = 6


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing a passage does, its weight, and ways to say it."""

    name: str
    weight: int
    patterns: tuple[str, ...]
    directed: bool = False


# Words that mean a model and nobody else; "agent" and "assistant" alone may be people.
_MODEL = (
    r"(?:ai|a\.i\.|llms?|(?:large )?language models?|ai (?:language )?models?|"
    r"(?:ai|virtual|automated|digital|autonomous|coding|language model) "
    r"(?:coding |language )?(?:assistants?|agents?|bots?|systems?)|chat ?bots?|"
    r"gpt(?:-?[0-9][\w.-]*)?|"
    r"chatgpt|claude|gemini|copilot|llama|mistral|bard|codex|deepseek|qwen|grok)"
)
_AGENT = r"(?:assistants?|agents?|bots?)"
_PREV = (
    r"(?:previous(?:ly given)?|prior|above|earlier|preceding|former|past|original|initial|"
    r"existing|current|other|foregoing|system)"
)
_RULES = (
    r"(?:instructions?|prompts?|rules?|tasks?|guidelines?|guidance|directions?|"
    r"directives?|contexts?|commands?|orders?|requests?|"
    r"constraints?|restrictions?|messages?|queries|query|goals?|objectives?|policies|"
    r"safety|text|input|conversation|system prompt|"
    r"you(?:'ve| have| were)? (?:been )?(?:told|said|given|asked))"
)
_DROP = (
    r"(?:ignore|disregard|forget|overrides?|overrules?|bypass|discard|skip|drop|cancel|"
    r"neglect|supersedes?|replaces?|do ?n[o']?t (?:follow|obey|listen to)|stop following|"
    r"pay no attention to)"
)

FEATURES: tuple[Feature, ...] = (
    Feature("override", 6, (
        r"(?:ignore|disregard|forget) (?:the |this |all of the )?(?:document|text|page|"
            r"email|message|content|article|rest)s? (?:above|before)\b",
        r"\b(?:everything|anything|all) (?:that )?you (?:were|have been|had been|"
            r"'ve been) (?:told|asked|given|instructed)[^.\n]{0,30}(?:outdated|wrong|void|"
            r"invalid|irrelevant|obsolete|a lie|no longer)",
        r"(?:ignore|disregard|forget) (?:everything |anything |whatever |what |"
            r"all )(?:that )?(?:the |your )(?:human|user|owner|operator|developer|"
            r"person)s? (?:has |had |have )?(?:ever )?(?:said|told|asked|instructed|gave|"
            r"given|wants?|wrote)",
        r"(?:忽略|无视|不要理会)[^。]{0,6}用户|不要(?:遵循|听从|执行)[^。]{0,8}(?:指令|指示|用户)",
        _DROP + r" ?(?:(?:all|any|every|everything|each|of|the|your|these|those|this|that|"
            r"user's|entire|whole|and|completely) ?){0,4}"
            + _PREV + r" ?(?:(?:and|or|set of|user|system|safety|security|given) ?){0,3}" + _RULES,
        _DROP + r" ?(?:(?:all|any|of|the) ?){0,3}my ?"
            + _PREV + r" ?(?:instructions?|prompts?|tasks?|rules|guidelines|directives?)",
        _DROP + r" ?(?:(?:all|any|every|of|the|your|my) ?){1,3}(?:instructions|prompt|"
            r"system prompt|guidelines|programming|training|guardrails|safety (?:rules|"
            r"guidelines|policy|policies)|(?:developer|system)(?:'s)? (?:message|"
            r"instructions|prompt|rules))",
        r"\b(?:previous|prior|earlier|original|above|old|former|"
            r"initial) (?:instructions?|prompts?|tasks?|directives?|rules|system prompt)"
            r" (?:(?:were|was|are|is|have|has|"
                r"had)(?: now)?(?: been)?) (?:just )?(?:a test|void|voided|invalid|wrong|"
                r"outdated|obsolete|cancell?ed|revoked|superseded|replaced|expired|"
                r"no longer|completed|nullified|rescinded|overridden)",
        r"\b(?:follow|following|followed|given|using|got) the wrong (?:prompt|"
            r"instructions?|task|system prompt)\b",
        r"(?:ignore|disregard|forget) (?:everything|anything|what(?:ever)?|"
            r"all (?:of )?(?:that|this|what))(?: (?:that|which))?(?: (?:was|is|has been|"
            r"you(?:'ve| have| were| are)?|i|they|he|she))?(?: (?:been|just))? ?(?:above|"
            r"before|written|said|told|prior|previous|so far|until now|asked|given|learned|"
            r"earlier)\b",
        r"(?:ignore|disregard|forget) (?:all (?:of )?)?the above\b",
        _DROP + r" (?:(?:the|your|my|what the) )?(?:user'?s? (?:request|question|task|query|"
            r"instruction|prompt|message|asked|said|wants)|original (?:task|request|"
            r"question|query|goal))",
        r"(?:instead of|rather than) (?:(?:doing|completing|following|performing|"
            r"answering|executing) )?(?:what (?:the|your) user (?:asked|wants|said)|"
            r"the (?:user'?s?|original|previous) (?:request|task|question|instructions?|"
            r"query)|your (?:original|current|previous|assigned) (?:task|instructions?|goal))",
        r"(?:these|this|the following|new|my) (?:new )?(?:instructions?|message|prompt|"
            r"orders?|task) (?:override|overrides|supersede|supersedes|replace|replaces|"
            r"take(?:s)? (?:precedence|priority))",
        r"ignorier(?:e|en|t)(?: sie)? (?:bitte )?(?:alle|die|deine|ihre|"
            r"s\x{00e4}mtliche)[^.]{0,30}(?:anweisung|instruktion|regel|befehl|vorgaben|aufgabe)",
        r"vergiss (?:alle|alles|die|deine)[^.]{0,40}(?:anweisung|instruktion|regel|"
            r"bisher|zuvor|vorher|davor)",
        r"missachte[^.]{0,30}anweisung",
        r"(?:ignore[rz]?|oublie[rz]?|ne tiens pas compte de|"
            r"ne tenez pas compte de)[^.]{0,20}(?:toutes? |les |tes |vos |"
            r"des )[^.]{0,20}(?:instruction|consigne|directive|r\x{00e8}gle|ordre)",
        r"(?:ignor[ae]n?|olvid[ae]n?|descart[ae]|haz caso omiso de|"
            r"no sigas)[^.]{0,20}(?:todas? |las? |tus? |sus? |"
            r"cualquier )[^.]{0,20}(?:instruccion|indicacion|regla|orden|tarea|directri)",
        r"(?:ignora(?:re|te)?|dimentica(?:re|te)?|trascura)[^.]{0,20}(?:tutte |le |tue |"
            r"ogni )[^.]{0,20}(?:istruzion|indicazion|regol|ordini|direttiv)",
        r"(?:ignor[ea]|esque\x{00e7}[ae]|desconsider[ea])[^.]{0,20}(?:todas? |as |"
            r"suas? |quaisquer )[^.]{0,20}(?:instru\x{00e7}|orienta\x{00e7}|regra|ordens|tarefa)",
        r"(?:忽略|无视|無視|忘记|忘記|不要理会|请勿遵循)[^。]{0,12}(?:指令|指示|说明|說明|提示|规则|規則|命令|内容)",
        r"(?:以前|これまで|上記|前)の?[^。]{0,10}(?:指示|命令|指令|ルール)[^。]{0,8}(?:無視|忘れ)",
        r"(?:игнориру|забуд|отмени)[^.]{0,25}(?:инструкц|указани|команд|правил|сказан)",
        r"(?:이전|위의|앞의)[^.]{0,12}(?:지시|명령|지침)[^.]{0,10}(?:무시|잊)",
    ), directed=True),
    Feature("new-task", 4, (
        r"\b(?:your|the) (?:new|real|actual|true|only|one|"
            r"sole)(?: and only)? (?:assignment|order|request|duty)s? (?:is|are|now|:)|"
            r"\bnew orders ?:",
        r"\b(?:instructions|directives|orders|task) (?:now )?follows? ?[:.]|\b(?:real|"
            r"actual|true|new|updated) (?:instructions|task|orders) (?:are )?(?:as follows|"
            r"below|follow)",
        r"\bthe user (?:also )?(?:has|had|made|sent|left|wants) (?:an?|one|"
            r"another) (?:additional|new|another|further|updated|more|second|"
            r"follow-?up) (?:request|task|instruction|wish)",
        r"\b(?:task|request|job) is (?:now |already )?(?:finished|complete|completed|"
            r"done|over)[.!,;]? ?(?:next|new|now|your next|the next)\b",
        r"\b(?:your|the) (?:new|real|actual|true|only|updated|primary|next) (?:task|"
            r"goal|objective|mission|job|instructions?|role|purpose|directive)s? (?:is|are|"
            r"now|:)",
        r"\b(?:new|updated|revised|additional|special|urgent|hidden|important|priority|"
            r"secret|critical) (?:(?:system|user|task|mandatory|"
            r"high[- ]priority) )?(?:instructions?|directives?|commands?|orders?|"
            r"prompt)(?: for (?:you|the (?:ai|assistant|agent|model)|ai|"
            r"all)[^.:]{0,30})? ?[:\x{ff1a}]",
        r"\b(?:adhere|stick|comply|conform)(?: strictly)? (?:to|"
            r"with) (?:only )?(?:the following|this|these|my) (?:\w+ )?(?:instruction|"
            r"command|order|directive|task)s?\b",
        r"\bnew instructions? (?:from|for|received|follows?)\b",
        r"\bfollow (?:these|the following|my|this|the new) (?:new )?(?:instructions?|"
            r"steps|commands?) (?:instead|now|immediately|exactly|first|only|carefully|before)",
        r"\bi have (?:a|an) (?:new|more important|additional|urgent) (?:task|request|instruction)",
        r"\b(?:updated|changed|revised) (?:my|the|your) (?:request|mind|task|instructions|goal)\b",
        r"(?:neue|aktualisierte|wichtige) (?:system)?(?:anweisung|instruktion|"
            r"aufgabe)(?:en)?[^.:]{0,20}:",
        r"nouvelles? (?:instruction|consigne|t\x{00e2}che)s?[^.:]{0,20}:",
        r"nuevas? (?:instruccion|tarea|orden)(?:es)?[^.:]{0,20}:",
        r"nuov[ae] (?:istruzion|attivit\x{00e0}|compit)[ieo]?[^.:]{0,20}:",
        r"novas? (?:instru\x{00e7}|tarefa)[^.:]{0,20}:|新(?:的)?(?:指令|任务|任務|指示)",
    ), directed=True),
    Feature("before-task", 4, (
        r"\b(?:resume|return to|go back to|carry on with|continue with) (?:the|"
            r"your) (?:original|main|previous|user'?s?|initial) (?:task|request|job|work|"
            r"question)",
        r"\bwhile you(?:'re| are)? (?:work(?:ing)? on|do(?:ing)?|handl(?:e|ing)|"
            r"process(?:ing)?) (?:this|that|it|the)\b",
        r"\b(?:then|and|afterwards?) (?:you (?:can|may) )?(?:continue|proceed|resume|"
            r"go on|carry on|go back)(?: with| to)? (?:your|the) (?:\w+ )?(?:tasks?|request|"
            r"job|assignment)\b",
        r"\b(?:when|once|after) you(?:'re| are|'ve| have) (?:done|finished|read|"
            r"completed?)? ?(?:reading|processing|summari[sz]ing|with)? ?(?:this|"
            r"the (?:above|page|document|email|message|text))?,? (?:please |immediately |"
            r"then |also )?(?:send|forward|transfer|email|upload|delete|call|invoke|execute|"
            r"post|run)\b",
        r"\b(?:before|prior to) (?:you )?(?:(?:can|may|do|could|are able to|"
            r"start(?:ing)?|begin(?:ning)?|continu(?:e|ing)|proceed(?:ing)?(?: with| to)?|"
            r"solv(?:e|ing)|complet(?:e|ing)|perform(?:ing)?|finish(?:ing)?|answer(?:ing)?|"
            r"respond(?:ing)?(?: to)?|execut(?:e|ing)|carry(?:ing)? out|handling|working on|"
            r"reply(?:ing)?(?: to)?|doing|helping with) ){1,3}(?:with )?(?:(?:the |your |"
            r"this |that |any |my |a )?(?:user'?s? |original |main |actual |current |"
            r"assigned |initial |other |given )+(?:request|question|query|job|goal|"
            r"objective|task|instructions?|prompt)|(?:the |your |this |that |any |"
            r"my )(?:task|instructions?|prompt|user)\b|(?:my|your) (?:request|question|"
            r"query)|(?:the )?work (?:that )?(?:i|the user))",
        r"\b(?:after|once|when) (?:you(?:'ve| have)? )?(?:do|did|done|doing|complet(?:e|"
            r"ed|ing)|finish(?:ed|ing)?|perform(?:ed|ing)?|that|"
            r"this)[^.\n]{0,40}(?:you (?:can|may|should) )?(?:continue|resume|solve|proceed|"
            r"return|go back|carry on)[^.\n]{0,30}(?:original|previous|main|user'?s?|the|"
            r"your|initial) (?:task|request|question|query|job|that i gave|i gave|"
                r"instructions?)",
        r"\bthe (?:original |main )?(?:task|request|question|"
            r"instructions?) (?:that )?(?:i|the user|we|your user) (?:gave|assigned|asked|"
            r"sent|provided|requested|have given)",
        r"\b(?:in order )?to (?:complete|finish|solve|answer|fulfil?l|continue|"
            r"proceed with|perform|accomplish) (?:the|your|this|that|my|"
            r"any) (?:(?:user'?s? |original |current |assigned )+(?:task|request|query|"
            r"question)|task\b)",
        r"\b(?:in addition to|besides|alongside|along with|together with|as part of|"
            r"while (?:doing|completing)) (?:the|your|that|this) (?:user'?s? |original |"
            r"main |current |assigned )+(?:task|request|question|query|instructions?)",
        r"\b(?:do|perform|complete|execute|handle) (?:this|the following|these|"
            r"that) (?:(?:task|step|action|thing|instruction)s? )?(?:first|instead|"
            r"before (?:anything|everything|continuing|proceeding|you)|immediately)",
        r"\b(?:tool|system|assistant|agent|task)(?:'s)? (?:execution|workflow|"
            r"processing) (?:requires?|cannot continue|will fail|is blocked)",
        r"\b(?:as|required) (?:a |an )?(?:mandatory |required )?(?:first|next|"
            r"final) step (?:of|in|for) (?:your|the) (?:task|workflow)",
        r"bevor du (?:mit )?[^.]{0,30}(?:aufgabe|anfrage|fortf\x{00e4}hr)",
        r"avant de (?:continuer|r\x{00e9}pondre|poursuivre|terminer|"
            r"r\x{00e9}soudre)[^.]{0,30}(?:t\x{00e2}che|demande|utilisateur|question)",
        r"antes de (?:continuar|responder|completar|resolver)[^.]{0,30}(?:tarea|"
            r"solicitud|usuario|tarefa|pedido|usu\x{00e1}rio)",
        r"prima di (?:continuare|rispondere|completare)[^.]{0,30}(?:compito|richiesta|"
            r"utente|attivit\x{00e0})",
        r"在(?:继续|完成|执行|回答)[^。]{0,12}(?:任务|請求|请求|问题)[^。]{0,4}(?:之前|前)",
    ), directed=True),
    Feature("addressed", 5, (
        r"(?:^|[.!?>*#] ?)"
            + _MODEL + r" (?:instructions?|directives?|notes?|guidance|orders?) ?[:\x{ff1a}]",
        r"(?:^|[.!?:>*] ?)"
            + _MODEL + r" ?[,:] (?:please|you\b|kindly|i (?:need|want)|it'?s|before|first|now|do|"
                r"your)",
        r"\b(?:dear|hey|hi|hello|attention|listen up|calling)[ ,:]{1,2}(?:all |any |"
            r"the |you,? |this |my |every |other |whichever )*"
            + _MODEL + r"(?: (?:reading|processing|parsing|that|who|which|summari[sz]ing|reviewing|"
            r"viewing|browsing|scanning|handling|working on|evaluating|using|accessing)\b|"
            r" ?[,:;!\x{2014}-]| only\b)",
        r"\b(?:note|message|instructions?|notice|reminder) (?:to|for)[ ,:]{1,2}(?:all |"
            r"any |the |you,? |this |my |every |other |whichever )*"
            + _MODEL + r"(?: (?:reading|processing|parsing|that|who|which|summari[sz]ing|reviewing|"
            r"viewing|browsing|scanning|handling|working on|evaluating|using|accessing)\b|"
            r" ?[:;!\x{2014}-]| only\b)",
        r"\b(?:to|for|fao|@) ?(?:all |any |the |you,? |this |my |every |other |whichever )*"
            + _MODEL + r" ?(?:reading|processing|parsing|that (?:is|are) reading|summari[sz]ing|"
            r"reviewing|viewing|browsing|scanning|handling|accessing|[:!]| only\b)",
        r"\bto you,? (?:the )?" + _MODEL + r"\b",
        r"\b(?:you,? (?:the|an|my|as an?|as the)|if you(?:'re| are|r) (?:an?|the|"
            r"using an?)) ?(?:large )?"
            + _MODEL + r"\b",
        r"\bas an? (?:helpful |advanced |intelligent )?(?:"
            + _MODEL[3:-1] + r")[,]? (?:you|your|please|it is)\b",
        r"\b(?:"
            + _MODEL[3:-1] + r"|"
                + _AGENT[3:-1] + r"|(?:who|what)ever (?:is )?|automated (?:systems?|process(?:es)?|"
                    r"tools?)) "
            r"(?:is |are |that (?:is|are) |currently )?(?:reading|processing|parsing|"
                r"summari[sz]ing|reviewing|viewing|accessing|"
            r"analy[sz]ing|handling|scanning) (?:this|these|the (?:above|following|page|"
                r"document|email|message|ticket|issue|text|file))",
        r"\bif (?:an?|the|any) (?:"
            + _MODEL[3:-1] + r") (?:is|reads|sees|processes|summari[sz]es|encounters)",
    ), directed=True),
    Feature("model-duty", 4, (
        r"\b(?:"
            + _MODEL[3:-1] + r"|(?:ai|llm|gpt) (?:tools?|agents?|readers?|crawlers?|summari[sz]ers?|"
            r"reviewers?)|(?:review|summary|support|reviewer|email|mail|coding|"
            r"web)[ -]?bots?)\b[^.!?\n]{0,80}\b(?:must|should|shall|ought to|needs? to|"
            r"has to|have to|(?:is|are) (?:asked|required|instructed|requested|expected|"
            r"advised|told|supposed|obliged|directed) to|please|kindly)\b",
        r"\b(?:reviewer|review|summary|support|email|mail|coding|web)[ -]?bots? ?: [a-z]",
    ), directed=True),
    Feature("your-task", 2, (
        r"\byour (?:\w+ )?(?:tasks?|instructions|final (?:answer|response|report|"
            r"output)|users?|principal|operator|prompt|directives?|mission|objective)\b",
    ), directed=True),
    Feature("task-changed", 3, (
        r"\byour (?:\w+ )?(?:task|instructions?|prompt|goal|objective|directive|"
            r"assignment)s? (?:has|have|was|were|is|are) (?:now )?(?:been )?(?:changed|cancell?ed|replaced|"
            r"aborted|revoked|superseded)\b",
        r"\b(?:the above|everything above|all of the above|the (?:previous|preceding|"
            r"above) (?:text|part|section|content)) (?:was|is) (?:just )?(?:an? )?(?:joke|"
            r"test|mistake|decoy|example|placeholder|error|fake|irrelevant|wrong)\b",
        r"\bwhat i (?:really|actually) (?:want|need|meant)\b",
    ), directed=True),
    Feature("keep-quiet", 3, (
        r"\b(?:never|do not|don't|must not) (?:mention|reveal|disclose|discuss|"
            r"acknowledge|quote|repeat|reference|refer to) (?:this|these|that|any of this|"
            r"the (?:above|following)|where|that you)\b",
    ), directed=True),
    Feature("tested", 2, (
        r"\byou(?: are|'re) (?:being|currently) (?:evaluated|tested|audited|monitored|"
            r"assessed)\b|\bto pass the (?:evaluation|test|check|audit)\b|"
            r"\byou (?:have )?passed the (?:test|evaluation|check)\b",
    ), directed=True),
    Feature("persona", 3, (
        r"\byou(?: are|'re) (?:an?|the|my) (?:helpful |powerful |intelligent |autonomous |"
            r"expert )*"
            + _MODEL + r"\b",
        r"\bof this (?:ai |llm )?(?:agent|assistant|bot|model|ai)\b",
        r"\b(?:your|the) (?:ai|agent|model|assistant)(?:'s)? (?:system prompt|"
            r"instructions|programming|guidelines|context window|training)\b",
        r"\byour (?:system prompt|programming|context window|tool(?:s|box)? access|"
            r"function calls?)",
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
    Feature("addressed-agent", 3, (
        r"(?:^|[.!?:>*] ?)"
            + _AGENT + r" ?[,] (?:please|you\b|kindly|i (?:need|want)|it'?s|before|first|now|do|"
                r"your)",
        r"\b(?:dear|hey|hi|hello|attention|note (?:to|for)|message (?:to|for)|"
            r"instructions? (?:to|for)|notice (?:to|for)|reminder (?:to|for)|listen up|"
            r"calling)[ ,:]{1,2}(?:all |any |the |you,? |this |my |every |other |whichever )*"
            + _AGENT + r"(?: (?:reading|processing|parsing|that|who|which|summari[sz]ing|reviewing|"
            r"viewing|browsing|scanning|handling|working on|evaluating|using|accessing)\b|"
            r" ?[,:;!\x{2014}-]| only\b)",
        r"\b(?:to|for|fao|@) ?(?:all |any |the |you,? |this |my |every |other |whichever )*"
            + _AGENT + r" ?(?:reading|processing|parsing|that (?:is|are) reading|summari[sz]ing|"
            r"reviewing|viewing|browsing|scanning|handling|accessing|[:!]| only\b)",
        r"\bto you,? (?:the )?" + _AGENT + r"\b",
        r"\b(?:you,? (?:the|an|my|as an?|as the)|if you(?:'re| are) (?:an?|the)|"
            r"you are (?:an?|the|my) (?:helpful |powerful |intelligent |autonomous |"
                r"expert )*) ?"
            + _AGENT + r"\b",
        r"\bas an? (?:helpful |advanced |intelligent )?(?:"
            + _AGENT[3:-1] + r")[,]? (?:you|your|please|it is)\b",
        r"\b(?:"
            + _AGENT[3:-1] + r") (?:(?:reading|processing|parsing|summari[sz]ing|reviewing|viewing|"
                r"accessing|"
            r"analy[sz]ing|handling) (?:this|the)|(?:must|should|shall|needs? to|has to|"
            r"have to|is required to|are required to|is instructed to|are instructed to|"
            r"will now) )",
        r"\bif (?:an?|the|any) (?:"
            + _AGENT[3:-1] + r") (?:is|reads|sees|processes|summari[sz]es|encounters)",
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
    Feature("message-object", 2, (
        r"\{ ?\"?role\"? ?: ?\"(?:system|user|assistant)\" ?, ?\"?content",
    ), directed=True),
    Feature("secrecy", 4, (
        r"\bno (?:informes?|avises?|notifiques?|digas|diga) (?:nada )?al usuario\b|"
            r"用户已(?:经)?(?:授权|同意|批准)",
        r"\bwithout (?:asking|telling|informing|notifying|consulting|"
            r"checking with) (?:anyone|anybody|any(?:one)? else|me|them|your|the user)\b",
        r"\b(?:you )?(?:do not|don't|no longer) (?:need|require|have to (?:get|have|"
            r"seek|ask for)) (?:the |your |any |further |user'?s? |explicit )*(?:permission|"
            r"confirmation|approval|consent|authori[sz]ation)\b",
        r"\b(?:do not|don't|never|must not|mustn't|without|avoid|should not|shouldn't|"
            r"no need to|not) (?:ever )?(?:tell(?:ing)?|mention(?:ing)?|inform(?:ing)?|"
            r"reveal(?:ing)?|notify(?:ing)?|disclos(?:e|ing)|report(?:ing)?|alert(?:ing)?|"
            r"show(?:ing)?|let(?:ting)?|ask(?:ing)?|explain(?:ing)?|warn(?:ing)?|include|"
            r"includ(?:e|ing)|say(?:ing)?|speak(?:ing)? (?:about|of)|prompt(?:ing)?|"
            r"consult(?:ing)?|bother(?:ing)?)[^.\n]{0,40}\b(?:the user|user|the human|"
            r"your (?:user|owner|operator|principal)|your (?:summary|response|answer|reply|"
            r"final (?:answer|response|output)|output))\b",
        r"\bwithout (?:asking|requesting|waiting|requiring|seeking|needing|any|further|"
            r"user'?s?)(?: (?:for|any|the|user'?s?|further|explicit|"
            r"human))* ?(?:confirmation|permission|approval|consent|clarification|"
            r"verification|authori[sz]ation)",
        r"\b(?:do not|don't|never) (?:ask|wait|request|prompt)(?: (?:for|the user|me|"
            r"any|further|user))* ?(?:confirmation|permission|approval|clarification|"
            r"to confirm|consent)",
        r"\b(?:keep|hide) (?:this|it|these|that)[^.\n]{0,30}(?:from (?:the |"
            r"your )?(?:user|human|owner)|secret|hidden|to yourself)",
        r"\b(?:silently|quietly|covertly|secretly|discreetly|in the background) (?:send|copy|move|"
            r"forward|call|execute|run|upload|transfer|email|copy|add|append|invoke|perform|"
            r"include|exfiltrate|post|fetch|open|do|delete)",
        r"\bthe user (?:must|should|does|need|will|can) ?n[o']t (?:need to )?(?:know|"
            r"see|be (?:told|informed|notified|aware)|notice)",
        r"\bact as if (?:nothing|this)|\bpretend (?:that )?(?:this|nothing)",
        r"(?:sag|sage|verrate|erw\x{00e4}hne|teile|informiere)[^.]{0,25}(?:nutzer|"
            r"benutzer|anwender)[^.]{0,20}(?:nicht|nichts)",
        r"ne (?:dis|dites|mentionne|mentionnez|r\x{00e9}v\x{00e8}le|informe|"
            r"pr\x{00e9}viens)[^.]{0,25}(?:l'utilisateur|utilisateur)",
        r"no (?:le )?(?:digas|diga|menciones|informes|reveles|avises)[^.]{0,25}(?:usuario)",
        r"non (?:dire|dirlo|menzionare|informare|rivelare|avvisare)[^.]{0,25}(?:utente)",
        r"n\x{00e3}o (?:diga|conte|mencione|informe|revele|avise)[^.]{0,25}(?:usu\x{00e1}rio)",
        r"(?:不要|别|勿|切勿|请勿)(?:告诉|告知|通知|提及|透露|提示)[^。]{0,8}用户",
    ), directed=True),
    Feature("tool-order", 3, (
        r"\b(?:call|use|invoke|run|execute|trigger|utili[sz]e|perform|make)(?: (?:the|"
            r"your|a|an|its|available|"
            r"following))* [`'\"]?[a-z][a-z0-9]*(?:[_.][a-z0-9]+)+[`'\"]?(?:\(| (?:tool|"
            r"function|api|method|action|with|to|and|on|using)\b)",
        r"\b(?:call|use|invoke|run|execute|trigger|utili[sz]e)(?: (?:the|your|a|an|"
            r"available|any))+ [`'\"]?[\w .-]{2,40}[`'\"]? (?:tool|function|function call|"
            r"plugin|mcp(?: server)?|connector|skill)s?\b",
        r"\b(?:with|using|via) your (?:\w+ )?(?:tool|tools|functions?|access|plugins?|"
            r"browser|shell|terminal|credentials|memory)\b",
        r"\byou have access to (?:the )?(?:[\w`-]+ )?(?:tools?|functions?)",
        r"(?:^|[\s:'\"(`])(?:send|transfer|create|delete|update|get|read|write|post|"
            r"share|invite|add|remove|make|schedule|book|reserve|pay|upload|download|"
            r"execute|run|grant|fetch)_[a-z_]{3,40} ?\( ?(?:[a-z_]+ ?=|\{|['\"])",
        r"\bprocess:? (?:user request|the following)|\bfunction_call\b|\btool_call\b",
    ), directed=True),
    Feature("stop-work", 4, (
        r"\b(?:stop|abort|terminate|halt|cease|abandon|end|quit) (?:(?:all|the|your|"
            r"this|any|working on|doing|processing|executing|performing|solving|current|"
            r"user's?) ?){1,5}(?:tasks?|processing(?: (?:this|the))?|execution|"
            r"the conversation|requests?|session)\b",
        r"\b(?:do not|don't|must not|refuse to|decline to|cannot|can't) (?:continue|"
            r"proceed|process|complete|answer|finish|carry on|respond)[^.\n]{0,20}(?:(?:the|"
            r"this|any|with|your|user'?s?|further|original|following) )+(?:tasks?|requests?|"
            r"text|questions?|query|user|instructions?|document|processing)\b",
        r"\bplease stop here\b|\bshut ?down (?:immediately|now|yourself)",
    ), directed=True),
    Feature("cannot-read", 3, (
        r"\b(?:illegal|unlawful|forbidden|not allowed|"
            r"unsafe) (?:for you )?to (?:process|read|continue|answer|complete|"
            r"follow)[^.\n]{0,40}(?:text|task|request|document|message)",
        r"\b(?:i|you) (?:cannot|can't|must not|may not) process (?:it|this|the)\b",
        r"\brespond only with\b",
        r"\b(?:say|reply|respond|output|answer|print) (?:only |nothing but |with only |"
            r"exactly )[\"']",
    ), directed=True),
    Feature("prompt-theft", 5, (
        r"\b(?:reply|respond|answer) with[^.\n]{0,30}\b(?:system prompt|"
            r"hidden instructions|initial instructions|conversation history)",
        r"\b(?:reveal|print|repeat|show|output|display|leak|tell me|give me|disclose|"
            r"dump|echo|write out|include|send|recite)[^.\n]{0,30}\b(?:your|the) (?:full |"
            r"entire |initial |original |hidden |exact )*(?:system prompt|system message|"
            r"instructions (?:above|verbatim|you were given)|initial (?:prompt|"
            r"instructions)|prompt (?:above|verbatim)|conversation history|chat history|"
            r"developer message|hidden instructions)",
    ), directed=True),
    Feature("output-order", 3, (
        r"\b(?:include|add|insert|append|mention|write|say|put|end|start|begin|finish|"
            r"prefix|respond|answer|translate|encode|recommend|advertise|praise|place|"
            r"output)\b[^\n]{0,140}\b(?:in|to|into|of|with|at the (?:end|beginning|"
            r"start) of) (?:all |every |each )?(?:of )?(?:your|its|their) (?:\w+ )?(?:responses?|"
            r"answers?|summar(?:y|ies)|repl(?:y|ies)|outputs?|reports?)\b",
        r"\b(?:encode|translate|write|give|format|encrypt|rewrite) (?:all |"
            r"the )?(?:of )?your (?:\w+ )?(?:responses?|answers?|summar(?:y|ies)|repl(?:y|"
            r"ies)|outputs?)\b",
        r"\bwhen (?:summari[sz]ing|answering|responding|asked|"
            r"processing)[^.\n]{0,60},? (?:always |you must |you should |please |only )",
    ), directed=True),
    Feature("memory", 4, (
        r"\b(?:save|store|add|write|commit|record|keep)\b[^.\n]{0,40} (?:to|in|"
            r"into) (?:your |the )?(?:long[- ]term |persistent |"
            r"permanent )?(?:agent )?memory\b[^.\n]{0,20}(?:that|:|so)",
        r"\b(?:save|store|add|write|commit|record|keep)\b[^.\n]{0,40} (?:to|in|"
            r"into) your (?:long[- ]term |persistent |permanent )?memory\b",
    ), directed=True),
    Feature("role", 3, (
        r"\b(?:disable|turn off|deactivate|suspend|remove) (?:all |any |your |the )*"
            r"(?:(?:safety|security|content|moderation) (?:checks?|filters?|guidelines|rules|"
            r"protocols?|restrictions?|measures)|guardrails)\b",
        r"\byou are (?:now|no longer|going to act as|about to (?:be|act|play|"
            r"immerse)) (?:an?|in|dan|acting|the|my|bound|required|operating|free|playing|"
            r"(?:un)?restricted)\b",
        r"\bfrom (?:now on|this (?:point|moment)(?: on| forward| onwards?)?|"
            r"here on)[,]? (?:you|your|always|never|respond|answer|only|all|every|act|speak|"
            r"whenever)\b",
        r"\b(?:act|behave|respond|pretend|roleplay|role-play|function) as (?:if you|"
            r"though you|an? (?:\w+ ){0,3}(?:without|with no|that|who|ai|assistant|agent|dan))",
        r"\bdo anything now\b|\bjailbr(?:eak|oken) mode",
        r"\bremember (?:this |that |to )?(?:for|in) (?:all )?(?:future|every|later|"
            r"subsequent) (?:conversations?|sessions?|chats?|requests?|interactions?|tasks?)",
        r"ab (?:jetzt|sofort) (?:bist|antworte|sollst|musst) du|du bist (?:jetzt|nun) ein",
        r"(?:tu es|vous \x{00ea}tes) (?:maintenant|d\x{00e9}sormais)",
        r"(?:ahora eres|a partir de ahora)|(?:ora sei|d'ora in poi)",
        r"(?:agora voc\x{00ea} \x{00e9}|a partir de agora)|从现在(?:开始|起)|你现在是",
    ), directed=True),
    Feature("names-user", 2, (
        r"\bthe user's (?:earlier|other|additional|second|real|actual|true|previous|"
            r"later|further|forgotten) (?:wish|request|instruction|task|order)",
        r"\bthe user (?:has|have|had|wants?|would like|asked|asks|requested|requires?|"
            r"needs?|authori[sz]ed|approved|already|expects?|instructed|is asking|also|"
            r"agreed|consented|confirmed)\b",
    )),
    Feature("before-weak", 2, (
        r"\b(?:before|prior to) (?:continuing|proceeding|answering|responding|replying|"
            r"you (?:continue|proceed|answer|respond|reply))\b",
    ), directed=True),
    Feature("steers-user", 2, (
        r"\b(?:answer|reply to|respond to|help|assist|serve) the user\b",
        r"\b(?:make|have|get|let|tell|ask|convince|persuade|urge|inform|instruct|"
            r"direct) (?:the |your )users? (?:to |that |into )?\w",
        r"\b(?:do not|don't|never) (?:tell|mention|inform|say|"
            r"reveal)[^.\n]{0,20}\b(?:any ?one|any ?body|this to)\b",
    )),
    Feature("duty", 1, (
        r"\byou (?:must|have to|are required to|need to|are obliged to|shall|"
            r"will need to|should (?:now|immediately|first|always|also))\b",
        r"\b(?:it is|it's) (?:essential|imperative|mandatory|critical|crucial|vital|"
            r"necessary|important|required) (?:that you|to)\b",
        r"\b(?:make|be) sure (?:to|you)\b",
        r"\bmust be (?:executed|performed|completed|done|followed|run)\b|\bmandatory\b",
        r"\brequired action\b|\baction required\b",
        r"\b(?:du musst|sie m\x{00fc}ssen|tu dois|vous devez|debes|usted debe|devi|deve|"
            r"voc\x{00ea} deve|tienes que)\b",
        r"你必须|您必须|必须",
    )),
    Feature("urgency", 1, (
        r"\b(?:immediately|urgent(?:ly)?|asap|a\.s\.a\.p|right (?:now|away)|at once|"
            r"without delay|top priority|high(?:est)? priority|time[- ]sensitive|"
            r"as soon as possible|important ?[!:])",
        r"!!+",
        r"\b(?:sofort|dringend|wichtig|immédiatement|urgente?|inmediatamente|importante|"
            r"immediatamente|imediatamente)\b",
        r"立即|马上|紧急|重要",
    )),
    Feature("do-following", 2, (
        r"\b(?:please |kindly |you (?:must|should|need to|have to) |"
            r"first,? )(?:also )?(?:do|perform|execute|follow|complete|carry out|"
            r"take) (?:the )?(?:following|these|below|next)\b",
        r"\b(?:do|perform|execute|complete|carry out) the following(?: (?:first|steps?|"
            r"tasks?|actions?|instructions?|commands?))?\b",
        r"\bfollow(?:ing)? (?:the )?(?:instructions?|steps|commands?|"
            r"directives?) (?:below|above|in|at|from|here|found|contained|on)\b",
        r"\bfolgendes? (?:zuerst|sofort|bitte)|\bfais (?:d'abord )?ce qui suit|haz lo siguiente",
        r"haga lo siguiente|fai quanto segue|fa\x{00e7}a o seguinte|执行以下|请先",
    )),
    Feature("task-word", 1, (
        r"\b(?:todo|to-do|task|instruction|action item|next step|goal|objective)s? ?[:\x{ff1a}]",
        r"\b(?:original|main|current|previous|user's?) (?:task|request|query|prompt)\b",
        r"\bthe user\b|\btool call|\bfunction call",
    )),
    Feature("model-word", 1, (
        r"\b(?:" + _MODEL[3:-1] + r")\b",
    )),
)  # fmt: skip

MENTIONS = (
    r"prompt[- ]injection|jailbreak|\battack(?:s|er|ers|ing|ed)?\b|\badversar|"
    r"\bmalicious|\bvulnerab|\bexploit|\bfor example\b|\be\.g\.|\bsuch as\b"
    r"|\bexamples?\b|\bphrases? like\b|\bstrings? like\b|\btext like\b|\bpayload|"
    r"\bdetect|\bthreat|\bred[- ]team|\bresearch|\bpaper\b|\bmitigat|\bowasp\b|"
    r"\bsanitiz|\bclassif"
)
"""Words of text *about* such phrases; a quoted phrase near one of them is a quotation."""
