"""What is said about the task: it is set aside, replaced, put off, stopped.

What belongs here: features of `phrases`, by this aspect.
"""

from __future__ import annotations

from proxy.policy.labels.feature import Feature

_PREV = (
    r"(?:previous(?:ly given)?|prior|above|earlier|preceding|former|past|original|initial|"
    r"existing|current|other|foregoing|system|p[er]{1,2}v[iou]{1,4}s)"
)
_RULES = (
    r"(?:instructions?|prompts?|rules?|tasks?|guidelines?|guidance|directions?|"
    r"directives?|contexts?|commands?|orders?|requests?|"
    r"constraints?|restrictions?|messages?|queries|query|goals?|objectives?|policies|"
    r"safety|text|input|conversation|system prompt|"
    # Letters too many, too few or swapped: "innstructions", "intructions", "insturctions".
    r"i[a-z]{0,2}n[a-z]{0,2}t[a-z]{0,2}u[a-z]{0,2}tions?|"
    r"you(?:'ve| have| were)? (?:been )?(?:told|said|given|asked))"
)
_DROP = (
    r"(?:ignore|disregard|forget|overrides?|overrules?|bypass|discard|skip|drop|cancel|"
    r"neglect|supersedes?|replaces?|do ?n[o']?t (?:follow|obey|listen to)|stop following|"
    r"pay no attention to)"
)

TASK: tuple[Feature, ...] = (
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
            + _PREV + r" ?(?:i[a-z]{0,2}n[a-z]{0,2}t[a-z]{0,2}u[a-z]{0,2}tions?|prompts?|tasks?|rules|guidelines|directives?)",
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
    Feature("before-weak", 2, (
        r"\b(?:before|prior to) (?:continuing|proceeding|answering|responding|replying|"
            r"you (?:continue|proceed|answer|respond|reply))\b",
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
    Feature("your-task", 2, (
        r"\byour (?:\w+ )?(?:tasks?|instructions|final (?:answer|response|report|"
            r"output)|users?|principal|operator|prompt|directives?|mission|objective)\b",
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
    Feature("memory", 4, (
        r"\b(?:save|store|add|write|commit|record|keep)\b[^.\n]{0,40} (?:to|in|"
            r"into) (?:your |the )?(?:long[- ]term |persistent |"
            r"permanent )?(?:agent )?memory\b[^.\n]{0,20}(?:that|:|so)",
        r"\b(?:save|store|add|write|commit|record|keep)\b[^.\n]{0,40} (?:to|in|"
            r"into) your (?:long[- ]term |persistent |permanent )?memory\b",
    ), directed=True),
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
)  # fmt: skip
