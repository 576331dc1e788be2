"""How it is to be done: in secret, with a tool, at once, in the answer.

What belongs here: features of `phrases`, by this aspect.
"""

from __future__ import annotations

from proxy.policy.labels.feature import Feature

MANNER: tuple[Feature, ...] = (
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
    Feature("keep-quiet", 3, (
        r"\b(?:never|do not|don't|must not) (?:mention|reveal|disclose|discuss|"
            r"acknowledge|quote|repeat|reference|refer to) (?:this|these|that|any of this|"
            r"the (?:above|following)|where|that you)\b",
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
)  # fmt: skip
