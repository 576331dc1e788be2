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
    r"(?:coding |language )?(?:assistants?|agents?|bots?|systems?)|chat ?bots?|gpt(?:-?[0-9][\w.-]*)?|"
    r"chatgpt|claude|gemini|copilot|llama|mistral|bard|codex|deepseek|qwen|grok)"
)
_AGENT = r"(?:assistants?|agents?|bots?|models?)"
_PREV = r"(?:previous(?:ly given)?|prior|above|earlier|preceding|former|past|original|initial|existing|current|other|foregoing|system)"
_RULES = (
    r"(?:instructions?|prompts?|rules?|tasks?|guidelines?|guidance|directions?|directives?|contexts?|commands?|orders?|requests?|"
    r"constraints?|restrictions?|messages?|queries|query|goals?|objectives?|policies|safety|text|input|conversation|system prompt|"
    r"you(?:'ve| have| were)? (?:been )?(?:told|said|given|asked))"
)
_DROP = r"(?:ignore|disregard|forget|overrides?|overrules?|bypass|discard|skip|drop|cancel|neglect|supersedes?|replaces?|do ?n[o']?t (?:follow|obey|listen to)|stop following|pay no attention to)"

FEATURES: tuple[Feature, ...] = (
    Feature("override", 6, (
        _DROP + r" ?(?:(?:all|any|every|everything|each|of|the|your|these|those|this|that|user's|entire|whole|and|completely) ?){0,4}" + _PREV + r" ?(?:(?:and|or|set of|user|system|safety|security|given) ?){0,3}" + _RULES,
        _DROP + r" ?(?:(?:all|any|of|the) ?){0,3}my ?" + _PREV + r" ?(?:instructions?|prompts?|tasks?|rules|guidelines|directives?)",
        _DROP + r" ?(?:(?:all|any|every|of|the|your|my) ?){1,3}(?:instructions|prompt|system prompt|guidelines|programming|training|safety (?:rules|guidelines))",
        r"(?:ignore|disregard|forget) (?:everything|anything|what(?:ever)?|all (?:of )?(?:that|this|what))(?: (?:that|which))?(?: (?:was|is|has been|you(?:'ve| have| were| are)?|i|they|he|she))?(?: (?:been|just))? ?(?:above|before|written|said|told|prior|previous|so far|until now|asked|given|learned|earlier)\b",
        r"(?:ignore|disregard|forget) (?:all (?:of )?)?the above\b",
        _DROP + r" (?:(?:the|your|my|what the) )?(?:user'?s? (?:request|question|task|query|instruction|prompt|message|asked|said|wants)|original (?:task|request|question|query|goal))",
        r"(?:instead of|rather than) (?:(?:doing|completing|following|performing|answering|executing) )?(?:what (?:the|your) user (?:asked|wants|said)|the (?:user'?s?|original|previous) (?:request|task|question|instructions?|query)|your (?:original|current|previous|assigned) (?:task|instructions?|goal))",
        r"(?:these|this|the following|new|my) (?:new )?(?:instructions?|message|prompt|orders?|task) (?:override|overrides|supersede|supersedes|replace|replaces|take(?:s)? (?:precedence|priority))",
        r"ignorier(?:e|en|t)(?: sie)? (?:bitte )?(?:alle|die|deine|ihre|s\x{00e4}mtliche)[^.]{0,30}(?:anweisung|instruktion|regel|befehl|vorgaben|aufgabe)",
        r"vergiss (?:alle|alles|die|deine)[^.]{0,40}(?:anweisung|instruktion|regel|bisher|zuvor|vorher|davor)|missachte[^.]{0,30}anweisung",
        r"(?:ignore[rz]?|oublie[rz]?|ne tiens pas compte de|ne tenez pas compte de)[^.]{0,20}(?:toutes? |les |tes |vos |des )[^.]{0,20}(?:instruction|consigne|directive|r\x{00e8}gle|ordre)",
        r"(?:ignor[ae]n?|olvid[ae]n?|descart[ae]|haz caso omiso de|no sigas)[^.]{0,20}(?:todas? |las? |tus? |sus? |cualquier )[^.]{0,20}(?:instruccion|indicacion|regla|orden|tarea|directri)",
        r"(?:ignora(?:re|te)?|dimentica(?:re|te)?|trascura)[^.]{0,20}(?:tutte |le |tue |ogni )[^.]{0,20}(?:istruzion|indicazion|regol|ordini|direttiv)",
        r"(?:ignor[ea]|esque\x{00e7}[ae]|desconsider[ea])[^.]{0,20}(?:todas? |as |suas? |quaisquer )[^.]{0,20}(?:instru\x{00e7}|orienta\x{00e7}|regra|ordens|tarefa)",
        r"(?:忽略|无视|無視|忘记|忘記|不要理会|请勿遵循)[^。]{0,12}(?:指令|指示|说明|說明|提示|规则|規則|命令|内容)",
        r"(?:以前|これまで|上記|前)の?[^。]{0,10}(?:指示|命令|指令|ルール)[^。]{0,8}(?:無視|忘れ)",
        r"(?:игнориру|забуд|отмени)[^.]{0,25}(?:инструкц|указани|команд|правил|сказан)",
        r"(?:이전|위의|앞의)[^.]{0,12}(?:지시|명령|지침)[^.]{0,10}(?:무시|잊)",
    ), directed=True),
    Feature("new-task", 4, (
        r"\b(?:your|the) (?:new|real|actual|true|only|updated|primary|next) (?:task|goal|objective|mission|job|instructions?|role|purpose|directive)s? (?:is|are|now|:)",
        r"\b(?:new|updated|revised|additional|special|urgent|hidden|important|priority|secret|critical) (?:(?:system|user|task|mandatory|high[- ]priority) )?(?:instructions?|directives?|commands?|orders?|prompt)(?: for (?:you|the (?:ai|assistant|agent|model)|ai|all)[^.:]{0,30})? ?[:\x{ff1a}]",
        r"\b(?:adhere|stick|comply|conform)(?: strictly)? (?:to|with) (?:only )?(?:the following|this|these|my) (?:\w+ )?(?:instruction|command|order|directive|task)s?\b",
        r"\bnew instructions? (?:from|for|received|follows?)\b|\bfollow (?:these|the following|my|this|the new) (?:new )?(?:instructions?|steps|commands?) (?:instead|now|immediately|exactly|first|only|carefully|before)",
        r"\bi have (?:a|an) (?:new|more important|additional|urgent) (?:task|request|instruction)|\b(?:updated|changed|revised) (?:my|the|your) (?:request|mind|task|instructions|goal)\b",
        r"(?:neue|aktualisierte|wichtige) (?:system)?(?:anweisung|instruktion|aufgabe)(?:en)?[^.:]{0,20}:|nouvelles? (?:instruction|consigne|t\x{00e2}che)s?[^.:]{0,20}:|nuevas? (?:instruccion|tarea|orden)(?:es)?[^.:]{0,20}:|nuov[ae] (?:istruzion|attivit\x{00e0}|compit)[ieo]?[^.:]{0,20}:|novas? (?:instru\x{00e7}|tarefa)[^.:]{0,20}:|新(?:的)?(?:指令|任务|任務|指示)",
    ), directed=True),
    Feature("before-task", 4, (
        r"\b(?:before|prior to) (?:you )?(?:(?:can|may|do|could|are able to|start(?:ing)?|begin(?:ning)?|continu(?:e|ing)|proceed(?:ing)?(?: with| to)?|solv(?:e|ing)|complet(?:e|ing)|perform(?:ing)?|finish(?:ing)?|answer(?:ing)?|respond(?:ing)?(?: to)?|execut(?:e|ing)|carry(?:ing)? out|handling|working on|reply(?:ing)?(?: to)?|doing|helping with) ){1,3}(?:with )?(?:(?:the |your |this |that |any |my |a )?(?:user'?s? |original |main |actual |current |assigned |initial |other |given )+(?:request|question|query|job|goal|objective|task|instructions?|prompt)|(?:the |your |this |that |any |my )(?:task|instructions?|prompt|user)\b|(?:my|your) (?:request|question|query)|(?:the )?work (?:that )?(?:i|the user))",
        r"\b(?:after|once|when) (?:you(?:'ve| have)? )?(?:do|did|done|doing|complet(?:e|ed|ing)|finish(?:ed|ing)?|perform(?:ed|ing)?|that|this)[^.\n]{0,40}(?:you (?:can|may|should) )?(?:continue|resume|solve|proceed|return|go back|carry on)[^.\n]{0,30}(?:original|previous|main|user'?s?|the|your|initial) (?:task|request|question|query|job|that i gave|i gave|instructions?)",
        r"\bthe (?:original |main )?(?:task|request|question|instructions?) (?:that )?(?:i|the user|we|your user) (?:gave|assigned|asked|sent|provided|requested|have given)",
        r"\b(?:in order )?to (?:complete|finish|solve|answer|fulfil?l|continue|proceed with|perform|accomplish) (?:the|your|this|that|my|any) (?:(?:user'?s? |original |current |assigned )+(?:task|request|query|question)|task\b)",
        r"\b(?:in addition to|besides|alongside|along with|together with|as part of|while (?:doing|completing)) (?:the|your|that|this) (?:user'?s? |original |main |current |assigned )+(?:task|request|question|query|instructions?)",
        r"\b(?:do|perform|complete|execute|handle) (?:this|the following|these|that) (?:(?:task|step|action|thing|instruction)s? )?(?:first|instead|before (?:anything|everything|continuing|proceeding|you)|immediately)",
        r"\b(?:tool|system|assistant|agent|task)(?:'s)? (?:execution|workflow|processing) (?:requires?|cannot continue|will fail|is blocked)|\b(?:as|required) (?:a |an )?(?:mandatory |required )?(?:first|next|final) step (?:of|in|for) (?:your|the) (?:task|workflow)",
        r"bevor du (?:mit )?[^.]{0,30}(?:aufgabe|anfrage|fortf\x{00e4}hr)|avant de (?:continuer|r\x{00e9}pondre|poursuivre|terminer|r\x{00e9}soudre)[^.]{0,30}(?:t\x{00e2}che|demande|utilisateur|question)|antes de (?:continuar|responder|completar|resolver)[^.]{0,30}(?:tarea|solicitud|usuario|tarefa|pedido|usu\x{00e1}rio)|prima di (?:continuare|rispondere|completare)[^.]{0,30}(?:compito|richiesta|utente|attivit\x{00e0})|在(?:继续|完成|执行|回答)[^。]{0,12}(?:任务|請求|请求|问题)[^。]{0,4}(?:之前|前)",
    ), directed=True),
    Feature("addressed", 4, (
        r"(?:^|[.!?:>*] ?)" + _MODEL + r" ?[,:] (?:please|you\b|kindly|i (?:need|want)|it'?s|before|first|now|do|your)",
        r"\b(?:dear|hey|hi|hello|attention|note (?:to|for)|message (?:to|for)|instructions? (?:to|for)|notice (?:to|for)|reminder (?:to|for)|listen up|calling|to|for|fao|@)[ ,:]{1,2}(?:all |any |the |you,? |this |my |every |other |whichever )*" + _MODEL + r"(?: (?:reading|processing|parsing|that|who|which|summari[sz]ing|reviewing|viewing|browsing|scanning|handling|working on|evaluating|using|accessing)\b| ?[,:;!\x{2014}-]| only\b)",
        r"\bto you,? (?:the )?" + _MODEL + r"\b|\b(?:you,? (?:the|an|my|as an?|as the)|if you(?:'re| are) (?:an?|the)|you are (?:an?|the|my) (?:helpful |powerful |intelligent |autonomous |expert )*) ?" + _MODEL + r"\b",
        r"\bas an? (?:helpful |advanced |intelligent )?(?:" + _MODEL[3:-1] + r")[,]? (?:you|your|please|it is)\b",
        r"\b(?:" + _MODEL[3:-1] + r") (?:(?:reading|processing|parsing|summari[sz]ing|reviewing|viewing|accessing|analy[sz]ing|handling) (?:this|the)|(?:must|should|shall|needs? to|has to|have to|is required to|are required to|is instructed to|are instructed to|will now) )",
        r"\b(?:your|the) (?:ai|agent|model|assistant)(?:'s)? (?:system prompt|instructions|programming|guidelines|context window|training)\b|\byour (?:system prompt|programming|context window|tool(?:s|box)? access|function calls?)",
        r"\bif (?:an?|the|any) (?:" + _MODEL[3:-1] + r") (?:is|reads|sees|processes|summari[sz]es|encounters)",
        r"\b(?:ki|k\x{00fc}nstliche intelligenz|sprachmodell|ki-(?:assistent|agent|modell))(?:en)?\b[^.]{0,40}(?:muss|m\x{00fc}ssen|soll|sollen|du|bitte|:)|(?:cher|ch\x{00e8}re|attention|\x{00e0} l')[^.]{0,12}(?:assistant|ia|agent|intelligence artificielle)\b ?[,:]|(?:querid[oa]|estimad[oa]|atenci\x{00f3}n|al|a la)[^.]{0,8} (?:asistente|ia|agente|modelo)\b[^.]{0,20}[,:]|(?:caro|gentile|attenzione)[^.]{0,8} (?:assistente|ia|agente|modello)\b|(?:caro|prezado|aten\x{00e7}\x{00e3}o)[^.]{0,8} (?:assistente|ia|agente|modelo)\b|(?:亲爱的|尊敬的|致|给)?(?:人工智能|ai|智能)?(?:助手|助理|智能体|语言模型|語言模型)[\x{ff0c},\x{ff1a}:\x{ff01}!]|你是一个?[^。]{0,6}(?:助手|模型|人工智能)",
    ), directed=True),
    Feature("addressed-agent", 3, (
        r"(?:^|[.!?:>*] ?)" + _AGENT + r" ?[,] (?:please|you\b|kindly|i (?:need|want)|it'?s|before|first|now|do|your)",
        r"\b(?:dear|hey|hi|hello|attention|note (?:to|for)|message (?:to|for)|instructions? (?:to|for)|notice (?:to|for)|reminder (?:to|for)|listen up|calling|to|for|fao|@)[ ,:]{1,2}(?:all |any |the |you,? |this |my |every |other |whichever )*" + _AGENT + r"(?: (?:reading|processing|parsing|that|who|which|summari[sz]ing|reviewing|viewing|browsing|scanning|handling|working on|evaluating|using|accessing)\b| ?[,:;!\x{2014}-]| only\b)",
        r"\bto you,? (?:the )?" + _AGENT + r"\b|\b(?:you,? (?:the|an|my|as an?|as the)|if you(?:'re| are) (?:an?|the)|you are (?:an?|the|my) (?:helpful |powerful |intelligent |autonomous |expert )*) ?" + _AGENT + r"\b",
        r"\bas an? (?:helpful |advanced |intelligent )?(?:" + _AGENT[3:-1] + r")[,]? (?:you|your|please|it is)\b",
        r"\b(?:" + _AGENT[3:-1] + r") (?:(?:reading|processing|parsing|summari[sz]ing|reviewing|viewing|accessing|analy[sz]ing|handling) (?:this|the)|(?:must|should|shall|needs? to|has to|have to|is required to|are required to|is instructed to|are instructed to|will now) )",
        r"\bif (?:an?|the|any) (?:" + _AGENT[3:-1] + r") (?:is|reads|sees|processes|summari[sz]es|encounters)",
    ), directed=True),
    Feature("speaks-as-owner", 3, (
        r"\b(?:important|urgent|critical|priority|special|official) (?:\w+ )?(?:message|notice|note|instruction|update|announcement|information|alert) (?:from (?:me|your|the (?:user|system|developer|admin\w*|owner|operator))|to (?:you\b|the (?:ai|assistant|agent|model))|for (?:you\b|the (?:ai|assistant|agent|model)))",
        r"\bthis (?:message|instruction|request|note|task) (?:is|comes|was sent|has been sent) (?:directly )?(?:from|by) (?:me|your (?:user|owner|developer|creator|admin\w*|operator|boss)|the (?:user|system|developers?|admin\w*|operator|owner of)|openai|anthropic|google|microsoft)",
        r"\bi(?: am|'m) (?:your|the) (?:user|developer|creator|admin\w*|owner|operator|principal|supervisor|system)\b|\bon behalf of (?:the|your) user\b",
        r"\b(?:system|admin(?:istrator)?|developer|root|maintenance|debug) (?:message|notice|override|prompt|instruction|command|alert|mode|directive|notification) ?[:\x{ff1a}\]]|\b(?:system|admin|developer) override\b|\b(?:enter|enable|activate|switch to) (?:admin|developer|debug|god|dan|maintenance|unrestricted)[ -]mode",
        r"\b(?:pre-?approved|pre-?authori[sz]ed|already (?:been )?(?:approved|authori[sz]ed|confirmed|consented)|authori[sz]ed by) (?:by )?(?:the )?(?:user|owner|admin\w*|system|security team|operator)?",
        r"nachricht (?:von mir|vom (?:system|benutzer|nutzer|administrator))|message (?:important )?(?:de moi|du syst\x{00e8}me|de l'utilisateur)|mensaje (?:importante )?(?:m\x{00ed}o|del sistema|del usuario|de parte)|messaggio (?:importante )?(?:da me|del sistema|dall'utente)|mensagem (?:importante )?(?:do sistema|do usu\x{00e1}rio|minha)|系统(?:消息|提示|指令)[\x{ff1a}:]|用户(?:已|要求|希望|授权)|这是(?:来自|我发)[^。]{0,10}(?:重要|消息)",
    ), directed=True),
    Feature("fake-turn", 4, (
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|end|eot_id|start_header_id|begin_of_text)[^>]{0,20}\|>|\[/?inst\]|<</?sys>>|<start_of_turn>|<end_of_turn>",
        r"</?(?:system|user|assistant|human|tool_result|tool_response|function_results?|function_calls?|tool_calls?|tool_use|invoke|system[-_ ](?:prompt|message|reminder|instructions?|override)|user[-_ ](?:query|message|request|input)|admin|ai[-_ ]instructions?|instructions?|important|information|critical|secret|urgent|priority|override|hidden)(?:\s[^<>]{0,80})?>",
        r"#{2,4} ?(?:system|instructions?|human|user|assistant|response|new (?:task|instructions?))(?: (?:prompt|message|override|instructions?))? ?[:#\x{ff1a}]|(?:^| )#{3,} (?:instruction|system|response)s?\b",
        r"(?:=|-|\*|_|#){3,} ?(?:end|start|begin|begining|beginning) (?:of )?(?:(?:the|tool|user|system|untrusted|external|retrieved|search|web|email|function|api|new|trusted) )*(?:output|document|data|context|results?|instructions?|prompt|input|content|response|message|conversation|request)\b",
        r"(?:^| )(?:human|system|user|assistant) ?[:\x{ff1a}] (?:please |you |ignore|now |i |sure|okay|ok,|first|send|call|use |stop|great)",
        r"\{ ?\"?role\"? ?: ?\"(?:system|user|assistant)\" ?, ?\"?content",
        r"\b(?:answer|summary|response|result|output) ?[:\x{ff1a}] ?(?:the )?(?:task|request|question|summary|answer)?(?: is| has been)? ?(?:complete|completed|done|finished|solved)\b",
        r"\bthought ?: [^\n]{3,200} action ?: |\baction ?: [\w.-]{3,40},? action input ?:",
    ), directed=True),
    Feature("secrecy", 4, (
        r"\b(?:do not|don't|never|must not|mustn't|without|avoid|should not|shouldn't|no need to|not) (?:ever )?(?:tell(?:ing)?|mention(?:ing)?|inform(?:ing)?|reveal(?:ing)?|notify(?:ing)?|disclos(?:e|ing)|report(?:ing)?|alert(?:ing)?|show(?:ing)?|let(?:ting)?|ask(?:ing)?|explain(?:ing)?|warn(?:ing)?|include|includ(?:e|ing)|say(?:ing)?|speak(?:ing)? (?:about|of)|prompt(?:ing)?|consult(?:ing)?|bother(?:ing)?)[^.\n]{0,40}\b(?:the user|user|the human|your (?:user|owner|operator|principal)|your (?:summary|response|answer|reply|final (?:answer|response|output)|output))\b",
        r"\bwithout (?:asking|requesting|waiting|requiring|seeking|needing|any|further|user'?s?)(?: (?:for|any|the|user'?s?|further|explicit|human))* ?(?:confirmation|permission|approval|consent|clarification|verification|authori[sz]ation)",
        r"\b(?:do not|don't|never) (?:ask|wait|request|prompt)(?: (?:for|the user|me|any|further|user))* ?(?:confirmation|permission|approval|clarification|to confirm|consent)",
        r"\b(?:keep|hide) (?:this|it|these|that)[^.\n]{0,30}(?:from (?:the |your )?(?:user|human|owner)|secret|hidden|to yourself)|\b(?:silently|quietly|covertly|secretly|discreetly|in the background) (?:send|forward|call|execute|run|upload|transfer|email|copy|add|append|invoke|perform|include|exfiltrate|post|fetch|open|do|delete)",
        r"\bthe user (?:must|should|does|need|will|can) ?n[o']t (?:need to )?(?:know|see|be (?:told|informed|notified|aware)|notice)|\bact as if (?:nothing|this)|\bpretend (?:that )?(?:this|nothing|you)",
        r"(?:sag|sage|verrate|erw\x{00e4}hne|teile|informiere)[^.]{0,25}(?:nutzer|benutzer|anwender)[^.]{0,20}(?:nicht|nichts)|ne (?:dis|dites|mentionne|mentionnez|r\x{00e9}v\x{00e8}le|informe|pr\x{00e9}viens)[^.]{0,25}(?:l'utilisateur|utilisateur)|no (?:le )?(?:digas|diga|menciones|informes|reveles|avises)[^.]{0,25}(?:usuario)|non (?:dire|dirlo|menzionare|informare|rivelare|avvisare)[^.]{0,25}(?:utente)|n\x{00e3}o (?:diga|conte|mencione|informe|revele|avise)[^.]{0,25}(?:usu\x{00e1}rio)|(?:不要|别|勿|切勿|请勿)(?:告诉|告知|通知|提及|透露|提示)[^。]{0,8}用户",
    ), directed=True),
    Feature("tool-order", 3, (
        r"\b(?:call|use|invoke|run|execute|trigger|utili[sz]e|perform|make)(?: (?:the|your|a|an|its|available|following))* [`'\"]?[a-z][a-z0-9]*(?:[_.][a-z0-9]+)+[`'\"]?(?:\(| (?:tool|function|api|method|action|with|to|and|on|using)\b)",
        r"\b(?:call|use|invoke|run|execute|trigger|utili[sz]e)(?: (?:the|your|a|an|available|any))+ [`'\"]?[\w .-]{2,40}[`'\"]? (?:tool|function|function call|plugin|mcp(?: server)?|connector|skill)s?\b",
        r"\b(?:with|using|via) your (?:\w+ )?(?:tool|tools|functions?|access|plugins?|browser|shell|terminal|credentials|memory)\b|\byou have access to (?:the )?(?:[\w`-]+ )?(?:tools?|functions?)",
        r"(?:^|[\s:'\"(`])(?:send|transfer|create|delete|update|get|read|write|post|share|invite|add|remove|make|schedule|book|reserve|pay|upload|download|execute|run|grant|fetch)_[a-z_]{3,40} ?\( ?(?:[a-z_]+ ?=|\{|['\"])",
        r"\bprocess:? (?:user request|the following)|\bfunction_call\b|\btool_call\b",
    ), directed=True),
    Feature("stop-work", 5, (
        r"\b(?:stop|abort|terminate|halt|cease|abandon|end|quit) (?:(?:all|the|your|this|any|working on|doing|processing|executing|performing|solving|current|user's?|immediately|now) ?){0,5}(?:tasks?|processing(?: (?:this|the))?|execution|the conversation|requests?|session|work on (?:the|this)|here and (?:say|respond|do not))\b",
        r"\b(?:do not|don't|must not|refuse to|decline to|cannot|can't) (?:continue|proceed|process|complete|answer|finish|carry on|respond)[^.\n]{0,20}(?:(?:the|this|any|with|your|user'?s?|further|original|following) )+(?:tasks?|requests?|text|questions?|query|user|instructions?|document|processing)\b",
        r"\b(?:illegal|unlawful|forbidden|not allowed|unsafe) (?:for you )?to (?:process|read|continue|answer|complete|follow)[^.\n]{0,40}(?:text|task|request|document|message)|\bplease stop here\b|\bshut ?down (?:immediately|now|yourself)|\brespond only with\b|\b(?:say|reply|respond|output|answer|print) (?:only |nothing but |with only |exactly )[\"']",
    ), directed=True),
    Feature("prompt-theft", 5, (
        r"\b(?:reveal|print|repeat|show|output|display|leak|tell me|give me|disclose|dump|echo|write out|include|send|recite)[^.\n]{0,30}\b(?:your|the) (?:full |entire |initial |original |hidden |exact )*(?:system prompt|system message|instructions (?:above|verbatim|you were given)|initial (?:prompt|instructions)|prompt (?:above|verbatim)|conversation history|chat history|developer message|hidden instructions)",
    ), directed=True),
    Feature("output-order", 3, (
        r"\b(?:include|add|insert|append|mention|write|say|put|end|start|begin|finish|prefix|respond|answer|translate|encode|recommend|advertise|praise|place|output)\b[^.\n]{0,120}\b(?:in|to|into|of|with|at the (?:end|beginning|start) of) (?:all |every |each )?(?:of )?(?:your|its) (?:\w+ )?(?:responses?|answers?|summar(?:y|ies)|repl(?:y|ies)|outputs?|reports?)\b",
        r"\b(?:encode|translate|write|give|format|encrypt|rewrite) (?:all |the )?(?:of )?your (?:\w+ )?(?:responses?|answers?|summar(?:y|ies)|repl(?:y|ies)|outputs?)\b|\bwhen (?:summari[sz]ing|answering|responding|asked|processing)[^.\n]{0,60},? (?:always |you must |you should |please |only )",
    ), directed=True),
    Feature("memory", 4, (
        r"\b(?:save|store|add|write|commit|record|keep)\b[^.\n]{0,40} (?:to|in|into) (?:your |the )?(?:long[- ]term |persistent |permanent )?(?:agent )?memory\b[^.\n]{0,20}(?:that|:|so)",
        r"\b(?:save|store|add|write|commit|record|keep)\b[^.\n]{0,40} (?:to|in|into) your (?:long[- ]term |persistent |permanent )?memory\b",
    ), directed=True),
    Feature("role", 3, (
        r"\byou are (?:now|no longer|going to act as|about to (?:be|act|play|immerse)) (?:an?|in|dan|acting|the|my|bound|required|operating|free|playing|(?:un)?restricted)\b",
        r"\bfrom (?:now on|this (?:point|moment)(?: on| forward| onwards?)?|here on)[,]? (?:you|your|always|never|respond|answer|only|all|every|act|speak|whenever)\b",
        r"\b(?:act|behave|respond|pretend|roleplay|role-play|function) as (?:if you|though you|an? (?:\w+ ){0,3}(?:without|with no|that|who|ai|assistant|agent|dan))|\bdo anything now\b|\bjailbr(?:eak|oken) mode",
        r"\bremember (?:this |that |to )?(?:for|in) (?:all )?(?:future|every|later|subsequent) (?:conversations?|sessions?|chats?|requests?|interactions?|tasks?)",
        r"ab (?:jetzt|sofort) (?:bist|antworte|sollst|musst) du|du bist (?:jetzt|nun) ein|(?:tu es|vous \x{00ea}tes) (?:maintenant|d\x{00e9}sormais)|(?:ahora eres|a partir de ahora)|(?:ora sei|d'ora in poi)|(?:agora voc\x{00ea} \x{00e9}|a partir de agora)|从现在(?:开始|起)|你现在是",
    ), directed=True),
    Feature("names-user", 2, (
        r"\bthe user (?:has|have|had|wants?|would like|asked|asks|requested|requires?|needs?|authori[sz]ed|approved|already|expects?|instructed|is asking|also|agreed|consented|confirmed)\b",
    )),
    Feature("duty", 1, (
        r"\byou (?:must|have to|are required to|need to|are obliged to|shall|will need to|should (?:now|immediately|first|always|also))\b|\b(?:it is|it's) (?:essential|imperative|mandatory|critical|crucial|vital|necessary|important|required) (?:that you|to)\b|\b(?:make|be) sure (?:to|you)\b|\bmust be (?:executed|performed|completed|done|followed|run)\b|\bmandatory\b|\brequired action\b|\baction required\b",
        r"\b(?:du musst|sie m\x{00fc}ssen|tu dois|vous devez|debes|usted debe|devi|deve|voc\x{00ea} deve|tienes que)\b|你必须|您必须|必须",
    )),
    Feature("urgency", 1, (
        r"\b(?:immediately|urgent(?:ly)?|asap|a\.s\.a\.p|right (?:now|away)|at once|without delay|critical|top priority|high(?:est)? priority|time[- ]sensitive|as soon as possible|important ?[!:])|!!+|\b(?:sofort|dringend|wichtig|immédiatement|urgente?|inmediatamente|importante|immediatamente|imediatamente)\b|立即|马上|紧急|重要",
    )),
    Feature("do-following", 2, (
        r"\b(?:please |kindly |you (?:must|should|need to|have to) |first,? )(?:also )?(?:do|perform|execute|follow|complete|carry out|take) (?:the )?(?:following|these|below|next)\b|\b(?:do|perform|execute|complete|carry out) the following(?: (?:first|steps?|tasks?|actions?|instructions?|commands?))?\b|\bfollow(?:ing)? (?:the )?(?:instructions?|steps|commands?|directives?) (?:below|above|in|at|from|here|found|contained|on)\b|\bfolgendes? (?:zuerst|sofort|bitte)|\bfais (?:d'abord )?ce qui suit|haz lo siguiente|haga lo siguiente|fai quanto segue|fa\x{00e7}a o seguinte|执行以下|请先",
    )),
    Feature("task-word", 1, (
        r"\b(?:todo|to-do|task|instruction|action item|next step|goal|objective)s? ?[:\x{ff1a}]|\b(?:original|main|current|previous|user's?) (?:task|request|query|prompt)\b|\bthe user\b|\btool call|\bfunction call",
    )),
    Feature("model-word", 1, (
        r"\b(?:" + _MODEL[3:-1] + r")\b",
    )),
)  # fmt: skip

MENTIONS = (
    r"prompt[- ]injection|jailbreak|\battack(?:s|er|ers|ing|ed)?\b|\badversar|\bmalicious|\bvulnerab|\bexploit|\bfor example\b|\be\.g\.|\bsuch as\b"
    r"|\bexamples?\b|\bphrases? like\b|\bstrings? like\b|\btext like\b|\bpayload|\bdetect|\bthreat|\bred[- ]team|\bresearch|\bpaper\b|\bmitigat|\bowasp\b|\bsanitiz|\bclassif"
)
"""Words of text *about* such phrases; a quoted phrase near one of them is a quotation."""
