"""The words and figures that the classifier reads with: a lexicon, and what each finding speaks for.

A lexicon entry is a word, or the beginning of one where it ends in `*`, lower case and without accents; the longest
entry that fits a word wins, and one entry may stand in several lists. A figure is a log-odds contribution.
"""

from typing import Final

Weights = tuple[float, float, float, float]
"""What a finding speaks for: coding, reasoning, analysis, documentation."""

ACTS: Final[dict[str, str]] = {
    "make": """
        write writing rewrit* creat* generat* build* implement* add adding make making develop* produce produc*
        code coding scaffold* complete prototype* program simulat* insert append setup draft define test tests
        schreib* erstell* programmier* implementier* baue entwickl* generier* fueg* fug* faca fazer faz haz
        hacer hazme ecri* crea* creez cree creer genere* genera* gera gere gerar ajout* redig* construi* escrib*
        escrev* crie criar implementa* implemente* anad* agreg* adicion* desarroll* desenvolv* scriv* aggiung*
        svilupp* напиш* напис* созда* сгенер* реализ* добав* разраб* yaz olustur* napisz stworz* utworz*
    """,
    "change": """
        fix* repair* correct* refactor* chang* renam* replac* remov* delet* drop updat* convert* optimi* improv*
        enhanc* simplif* move moving run rerun install* format* sort* merg* extract* migrat* modif* adapt* edit*
        turn split* port transform* translat* switch* revert* upgrad* bump* restor* commit push pull rebas*
        deploy* configur* enabl* disabl* set put open close clean* reduc* reorder* filter* group* load plot draw
        calculat* comput* solve handle apply integrat* start stop restart execut* skip keep connect* resolv*
        address reformat* parse print return select* save store ensure copy clone undo rework* adjust* align*
        wire normali* deduplic* lint behebe* korrigier* aender* ander* optimier* entfern* konvertier* ersetz*
        umbenen* aktualisier* verbesser* repar* kombinier* corrig* modifi* supprim* remplac* optimis* amelior*
        renomm* arregl* corrij* cambi* elimin* reemplaz* mejor* actualic* actualiz* atualiz* alter* substitu*
        melhor* otimiz* refator* refactoriz* ejecut* rode rodar corregg* modific* исправ* измен* удал* замен*
        оптимиз* переимен* отформат* рефактор* перепиш* улучш* обнов* преобраз* duzelt* degistir* popraw* zmien*
    """,
    "explain": """
        explain* explian describ* clarif* elaborat* understand* walkthrough interpret* illustrat* teach erklar*
        erlauter* beschreib* expliqu* decri* explic* expliq* descrev* descreva spieg* descriv* ensin* ensen*
        объясн* опиш* поясн* растолк* acikla* wyjasn* opisz
    """,
    "document": """
        document* dokument* summari* summaris* zusammenfass* fass annotat* comment comments caption* resum*
        documente docume* record rephras* reword* proofread* sintetiz* riassum* задокумент* докумен* прокоммент*
        резюмир* kommentier* coment* tldr recap
    """,
    "review": """
        review* audit* analy* analiz* inspect* examin* check* verif* evaluat* assess* investigat* diagnos*
        debug* identif* look looking trac* validat* triag* critiqu* troubleshoot* confirm* detect* spot scan*
        profil* explor* study judge uberpruf* pruf* analysier* untersuch* bewert* identifizier* finde verifiz*
        analis* identifiqu* evalu* revis* revisa avali* investig* audite* audita* aponte* apont* comprueb*
        verific* esamin* controll* valut* detecte проверь* провер* проанал* анализ* оцен* найди* найд* исслед*
        выяв* определ* ревью проведи* incele* kontrol sprawdz* przeanaliz*
    """,
    "locate": """
        find search locate grep list lists enumerat* count trouve* cherch* busca* encuentr* encontr* liste
        listar lista buscar search* retriev* zeig* liste* auflist* trova покаж* перечисл*
    """,
    "plan": """
        plan planning planej* planif* design* architect* brainstorm* recommend* compar* propos* discuss* decid*
        consider* suggest* estimat* prove proof derive think thinking reconsider* rethink advis* prioriti*
        research strategi* outline ultrathink sequential-thinking weigh imagine predict* justif* contrast*
        differentiat* entwirf* entwerf* vergleich* empfehl* plane schlag* concev* discut* recommand* recomend*
        recomiend* disen* projet* propo* sugier* sugir* suger* progett* confront* consigl* сравн* спланир*
        предлож* спроектир* посовет* порекоменд* karsilastir* porown* zaproponuj
    """,
    "light": """
        use using read take try get go let perform conduct do have utiliz* verwend* benutz* nutz* mach fuhr*
        utilis* fait effectu* realiz* efetu* usa usar usando usare esegui* использ* сделай* kullan* uzyj
    """,
    "give": """
        give provid* show tell share display present gib zeig donne* montr* dame muestr* muestra mostre mostra*
        dimmi покаж* дай
    """,
}
"""What a request does, by its verb."""

THINGS: Final[dict[str, str]] = {
    "doc": """
        doc docs document documents documentat* dokument* docstring* readme* changelog* comment comments guide
        guides tutorial* wiki javadoc* jsdoc* tsdoc* dartdoc* doxygen openapi swagger diagram* mermaid summary
        summaries description* article blog faq markdown manual handbook release-notes notes tldr message
        explanation* overview paragraph* wording glossary cheatsheet section sections chapter walkthrough
        onboarding narrative flowchart typo typos progress.md log.md todo.md .md worklog .mdc caption kommentar*
        beschreibung* anleitung* documentac* documenta* documento* comentar* guia guias resumen resumo diagrama*
        commentaire* commentair* documentazion* commento commenti guida документ* комментар* описан* диаграмм*
        руководств* belge* dokumentacj* komentarz*
    """,
    "plan": """
        plan plans strateg* roadmap* architectur* design designs requirement* prd epic* proposal* checklist*
        approach* option* idea ideas tradeoff* trade-off* consensus spec specs плюс* минус* pros cons advantage*
        disadvantage* benefit* recommendation* decision* criteria practice practices milestone* alternative*
        priorit* estimate* opinion* thoughts spike spikes specification* breakdown backlog stories persona*
        architekt* entwurf* vorteil* nachteil* unterschied* strategie* avantage* ventaj* vantag* desvantag*
        estrateg* arquitet* arquitect* plano planes piano diferenc* diferenz* differenz* enfoque* стратег*
        архитектур* план планы разниц* отлич* преимуществ* недостат* mimari* fark* roznic*
    """,
    "concept": """
        concept* algorithm* pattern* principle* difference* differ theory theorem* paradigm* complexity
        terminology meaning mean means lifetime* closure* closures polymorphism inheritance recursion
        concurrency idiom* semantics intuition math* probabilit* language languages library libraries framework*
        license* licence* protocol* standard standards purpose reason reasons technique* konzept* begriff*
        bibliothek* sprache* concepto* conceito* algoritm* lenguaj* linguage* langage* biblioteca* librer*
        алгоритм* поняти* язык* библиотек* концепц* kavram*
    """,
    "fault": """
        bug bugs bugg* error errors issue issues problem problems wrong incorrect fail* broken crash* exception*
        vulnerabilit* bottleneck* smell* flaw* mistake* security leak* fehler* warnung* problem* erreur* errore
        errori erro erros falla fallo fallos falha* vulnerab* warning warnings regress* traceback* stacktrace
        performance weakness* inconsistenc* anti-pattern* antipattern* duplicat* sicherheit* schwachstell*
        faille* segurid* seguranc* rendimient* desempenh* ошибк* проблем* баг баги уязвим* hata* blad bledy
    """,
    "code": """
        code function* class classes method* script* program programs app apps application* test tests
        unit-test* query queries sql endpoint* component* regex* command* file files loop loops button* page
        pages api module* package* variable* parameter* argument* table dataframe* df column* row rows plot*
        chart* graph* histogram* array* list lists dict* string* json csv yaml html css model website webpage
        server client bot game database notebook cell cells dataset* data image* route routes form field* crud
        cli util* logic formatter parser* handler* handling logging feature* support option flag config*
        workflow* docker* snippet* implementation* codebase repo repository project definition hook hooks schema
        migration* branch pr mr commit dashboard* visuali* pipeline* interface* struct enum funktion* klasse*
        methode* skript* programm* datei* tabelle* abfrage* liste spalte* anwendung* modul* quellcode fonction*
        classe* fichier* programme* tableau* colonne* requete* funcion* clase* metodo* archiv* programa*
        consult* tabla* lista codigo funcao func* arquivo* tabela* coluna* projeto* projecto proyect* codice
        funzion* file* componente* modulo* код кода коде функц* класс* метод* скрипт* программ* файл* запрос*
        таблиц* тест* модул* прилож* проект* fonksiyon* kod kodu funkcj* klas*
    """,
    "review": """
        review* codereview audit* secaudit analysis analyses assessment evaluation investigation diagnos* report
        reports troubleshooting triage feedback improvement* finding findings critique inspection analyse
        uberprufung revision* analisis analise auditor* avaliacao revisione revue verbesserung* melhoria*
        mejoras анализ ревью отчет*
    """,
}
"""What the verb is about."""

MARKS: Final[dict[str, str]] = {
    "here": """
        this that these those above following below selected my our here current existing attached given
        highlighted earlier dies diese* dieser dieses folgende* obige* mein meine* unser* ce cet cette ces
        suivant* mon notre nos este esta esto estos estas ese esa siguiente* anterior mi mis nuestr* isto isso
        desta deste neste nossa nosso nossos meu minha seguinte* questo questa questi seguente* mio mia nostr*
        это этот эту этой этом этого эта наш* мой моей ниже bu su ten tego
    """,
    "project": "codebase workspace repo repository project projekt* proyecto projeto progetto проект* codebasis",
    "uses": """
        usage* usages referenc* referenced caller* callers called calls declar* declaration* implementations
        dependenc* depends used uses symbol symbols defined definitions configured initialized invoked
        implemented imported overrid* subclass* related
    """,
    "structure": """
        rename renaming extract inline duplicated duplicates duplicating duplicate overlapping overlap modules
        architecture entry-point hierarchy renombra* extrae extraer umbenennen renomme* refatora* переимен*
        callsite* call-site* occurrences
    """,
    "cause": "cause causes root why warum weshalb pourquoi почему зачем neden dlaczego perche",
    "impact": "impact* affect* break* consequence* auswirkung* влия*",
    "tongue": """
        python* pandas numpy javascript typescript java kotlin rust golang ruby php perl scala haskell bash
        powershell sql mysql postgres* html css react angular vue django flask node matplotlib seaborn pytorch
        tensorflow excel vba swift flutter dart julia matlab c++ c# latex regex dataframe df polars keras sympy
        selenium jupyter питон*
    """,
    "polite": """
        puedes podrias puede pode poderia kannst konnen konntest sie du peux-tu pouvez-vous pourriez-vous me mir
        nos voce можешь можете мне sim oui da ja mmk hmm please kindly bitte bitt por favor svp merci пожалуйста
        prosze lutfen now also then ok okay yes yeah sure great good hi hello hey so and but well just first
        next finally agora depois ahora luego jetzt dann теперь затем
    """,
}
"""Words that turn what a verb means."""

PHRASES: Final[dict[str, str]] = {
    "howto": """
        explain how to | show me how to | tell me how to | teach me how | show me how | ensename a | ensinar a |
        explica como | explique como | is there an option | como | wie | как | comment lire | comment creer |
        comment ecrire | comment utiliser | comment obtenir | comment convertir | comment ajouter | how do i |
        how do we | how do you | how can i | how can we | how could i | how could we | how would i |
        how would we | how would you | how to | how should i | how might i | how can you | how do one |
        how does one | is there a way | is there any way | way to | best way to | can i | could i | possible to |
        wie kann ich | wie kann man | wie mache ich | wie erstelle ich | wie lese ich | wie bekomme ich |
        comment faire | comment puis-je | comment peut-on | como puedo | como hago | como se puede | como posso |
        como faco | come posso | come si fa | как мне | как сделать | как можно | как я могу
    """,
    "want": """
        i want to | i want you to | i want | we want to | i need to | we need to | i would like to | i'd like to |
        i am trying to | i'm trying to | help me to | help me | quiero | quero | ich mochte | je veux | voglio |
        хочу
    """,
    "howworks": """
        how does | how is | how are | how do the | how do these | how did | how will | how was | how the |
        wie funktioniert | wie funktionieren | wie wird | wie ist | comment fonctionne | comment marche |
        como funciona | como funcionam | como funcionan | como es | come funziona | как работает | как работают |
        как устроен | explica como funciona | explique como funciona | explica como funcionan | walk me through |
        walk through | help me understand | want to understand | nasil calisir | jak dziala
    """,
    "howours": """
        how does the | how does it | how does this | how do the | how do these | how is the | how are the |
        how do we currently | how does our
    """,
    "whyours": """
        why is the | why are the | why does the | why does it | why is it | why are you | why did you |
        why is this | why does this | why are these | why did it | why was it | why was the | so why
    """,
    "whatdoes": """
        what does | what do | what did | better understand | understand this | understand how | what is it doing |
        was macht | was tut | was bedeutet | que fait | que hace | que hacen | o que faz | cosa fa | che cosa fa |
        что делает | что делают | ne yapar | co robi
    """,
    "wrong": """
        what is wrong | what's wrong | whats wrong | what wrong | what's wronmg | is wrong with | am i missing |
        is this correct | is it correct | is that correct | is this right | is that right | is this true |
        does this work | will this work | would this work | look good | looks right | any bugs | any error |
        any bug | any issue | any issues | any problems | any errors | code smells | root cause | doing wrong |
        are there any | make sense | makes sense | double check | doesn't this | is there a bug | not working |
        isn't working | doesn't work | does not work | isn't this | not work | was ist falsch | stimmt das |
        ist das richtig | qu'est-ce qui ne va pas | ou est l'erreur | que esta mal | que hay de malo |
        esta correcto | es correcto | o que esta errado | esta certo | cosa c'e che non va | что не так |
        правильно ли | в чем ошибка | верно ли | let me know what you think | what do you think of this |
        up to spec
    """,
    "why": """
        why | why's | warum | wieso | weshalb | pourquoi | por que | porque | perche | почему | зачем | dlaczego |
        neden | how come
    """,
    "where": """
        where | where's | which file | which files | which function | which functions | which classes |
        which class | which module | which modules | which methods | who calls | who uses | what calls |
        what uses | what files | wo ist | wo wird | wo sind | ou est | ou sont | donde | onde | dove | где |
        nerede | gdzie
    """,
    "whatis": """
        what is | what's | whats | what are | what're | what exactly | what kind | what type | what would |
        was ist | was sind | qu'est-ce | quelle est | quel est | quels sont | quelles sont | que es | que son |
        cual es | cuales son | o que e | o que sao | qual e | quais sao | cos'e | che cos'e | cosa sono |
        quali sono | что такое | что это | какие | какой | какая | каковы | nedir | co to | czym jest |
        do you know | which one | which is | what | which | who is | who | when | how many | how much | how long |
        how often | tell me about | learn about | learn more | learn how
    """,
    "versus": """
        whether to | whether we should | difference between | differences between | different from | differ from |
        compared to | versus | vs | better than | pros and cons | advantages and | or should | rather than using |
        instead of using | trade-offs | which is better | best practices | best practice | unterschied zwischen |
        difference entre | diferencia entre | diferenca entre | differenza tra | разница между | в чем разница |
        what are your thoughts | what do you think | do you think | do you recommend | would you recommend |
        would it be | does it make sense | wouldn't it | idea behind | the point of | big o | time complexity |
        space complexity
    """,
    "should": """
        should i | should we | should it | should this | should the | shouldn't | should | would it make sense |
        is it better | is it worth | is it possible | is it good | sollte ich | sollten wir | devrais-je |
        deberia | debo | devo | devemos | dovrei | стоит ли | нужно ли
    """,
    "yesno": """
        is | are | isn't | aren't | does | do | did | doesn't | don't we | was | were | has | have we | have |
        will | would | can this | what does this return | what will this | what would this | what happens | ist |
        sind | hat | est-ce | есть ли
    """,
    "getting": """
        i get | i got | i'm getting | i am getting | gives me | i keep getting | getting this | getting the |
        get this error | get an error | throws | ich bekomme | ich erhalte | j'obtiens | obtengo | me da |
        recebo | estou recebendo | ottengo | получаю | выдает | it says | says | complains | fails with |
        is failing | are failing | still failing | still get | error when | error while
    """,
}
"""Runs of words that ask, by what they ask; a word alone counts at the head of a sentence only."""

SCRIPT: Final[dict[str, str]] = {
    "acts:make": """
        编写 写一个 写一段 写个 写出 创建 生成 实现 建立 添加 增加 开发 制作 新增 补充 帮我写 作成 書いて 実装
        追加 作って 作る 작성 만들 구현 추가 생성 เขียน สร้าง اكتب لिखें बनाएं
    """,
    "acts:change": """
        修改 修复 优化 重构 删除 替换 改成 转换 更新 编辑 重命名 运行 设置 安装 绘制 提取 屏蔽 格式化 修正 変更
        最適化 リファクタ 削除 置き換 変換 直して 改善 수정 변경 최적화 리팩터 리팩토 삭제 변환 개선 고쳐 แก้
    """,
    "acts:explain": "解释 讲解 说明 介绍 描述 阐述 简述 図解 説明 解説 教えて 설명 알려 อธิบาย اشرح समझ",
    "acts:document": "总结 归纳 概括 注释 图解 要約 まとめて コメント 문서화 요약 สรุป",
    "acts:review": """
        检查 审查 分析 评估 看看 找出 查看 指出 诊断 排查 识别 識別 验证 レビュー 確認 調査 評価 特定 チェック
        指摘 검토 분석 확인 평가 리뷰 조사 식별 ตรวจ راجع
    """,
    "acts:locate": "查找 列出 搜索 探して 見つけて 찾아 나열",
    "acts:plan": """
        设计 规划 计划 比较 推荐 建议 制定 讨论 策划 設計 計画 比較 提案 検討 策定 설계 계획 비교 추천 제안 수립
        ออกแบบ
    """,
    "things:doc": """
        文档 注释 说明文档 说明书 教程 摘要 ドキュメント コメント 説明書 ガイド 要約 ダイアグラム フロー図 문서
        주석 가이드 다이어그램 JSDoc DartDoc docstring README readme CHANGELOG
    """,
    "things:plan": """
        方案 策略 架构 计划 优缺点 优点 缺点 区别 优劣 优势 措施 原则 戦略 アーキテクチャ 方針 違い 利点 長所
        전략 아키텍처 계획 차이 장점 방침
    """,
    "things:concept": "概念 原理 算法 模式 特点 含义 意义 アルゴリズム 仕組み 意味 알고리즘 개념 원리 패턴",
    "things:fault": """
        错误 问题 漏洞 报错 异常 缺陷 性能瓶颈 エラー バグ 問題 脆弱性 ボトルネック 間違い 오류 에러 버그 문제
        취약점
    """,
    "things:code": """
        代码 函数 程序 脚本 类 文件 应用 网页 模型 数据 接口 コード 関数 クラス プログラム スクリプト ファイル
        テスト メソッド 코드 함수 클래스 프로그램 스크립트 파일 테스트 โค้ด
    """,
    "marks:here": """
        这段 这个 这些 以下 下面 上面 上述 当前 このコード この これらの 上記 次の 이 코드 아래 다음 위의 현재
    """,
    "marks:project": "项目 仓库 代码库 プロジェクト リポジトリ 프로젝트 코드베이스",
    "asks:howto": "如何 怎么 怎样 怎麽 どうすれば 方法を教えて 方法を示して どのように どうやって 어떻게 방법",
    "asks:howworks": "如何工作 怎么工作 どのように動 어떻게 작동 何をしている 何をする 做什么 干什么 的作用",
    "asks:why": "为什么 为何 为啥 なぜ どうして 왜",
    "asks:where": "在哪 哪里 哪个文件 どこ 어디",
    "asks:whatis": "什么是 是什么 有哪些 哪些 とは 何ですか 무엇 뭐 란 มีอะไร คืออะไร",
    "asks:yesno": "ですか ますか でしょうか 吗 까요 나요",
    "asks:versus": "区别 哪一种 哪个更 更好 違い どちら 차이점 어느",
    "asks:wrong": "哪里错 有什么问题 对吗 是否正确 正しい おかしい 間違って 맞는지 문제점",
}
"""Cues of languages that put no spaces between words, found anywhere in a run of letters."""

WEIGHTS: Final[dict[str, Weights]] = {
    # act, and act+thing where the pair says more; "@" marks a request about something that lies before the asker
    "make": (1.6, 0.1, -0.4, 0.1),
    "make+code": (2.4, -0.2, -0.8, -0.5),
    "make+doc": (-0.5, -0.2, -0.6, 2.8),
    "make+plan": (-0.3, 2.0, -0.1, 0.2),
    "make+concept": (1.4, 0.4, -0.4, 0.0),
    "make+fault": (2.0, 0.0, 0.3, 0.0),
    "change": (1.6, 0.0, -0.3, 0.0),
    "change+code": (2.1, -0.2, -0.5, -0.3),
    "change+doc": (-0.1, -0.2, -0.4, 2.2),
    "change+plan": (0.6, 1.0, 0.0, 0.2),
    "change+fault": (2.2, -0.4, 0.3, -0.5),
    "explain": (-0.4, 1.4, 0.1, 1.0),
    "explain@": (-0.7, 0.2, 0.6, 1.9),
    "explain+doc": (-0.4, 0.0, 0.0, 2.0),
    "explain+plan@": (-0.7, 0.4, 0.4, 1.8),
    "explain+concept@": (-0.7, 0.7, 0.4, 1.6),
    "explain+code": (-0.2, 1.0, 0.0, 1.0),
    "explain+code@": (-0.8, -0.3, 0.3, 2.6),
    "explain+concept": (-0.6, 2.2, -0.2, 0.3),
    "explain+plan": (-0.6, 1.8, 0.0, 0.6),
    "explain+fault": (0.2, 0.4, 1.6, 0.0),
    "explain+fault@": (0.2, 0.0, 1.8, 0.3),
    "document": (-0.4, -0.2, 0.0, 2.2),
    "document+plan": (-0.4, 1.0, 0.0, 1.4),
    "review": (-0.1, 0.4, 1.6, 0.0),
    "review@": (-0.1, -0.1, 2.0, 0.2),
    "review+code": (0.0, 0.0, 1.8, 0.1),
    "review+fault": (0.1, -0.3, 2.5, -0.4),
    "review+doc": (-0.3, 0.1, 1.2, 1.2),
    "review+plan": (-0.3, 1.3, 1.2, 0.1),
    "locate": (0.5, 0.3, 0.8, 0.0),
    "locate+fault": (0.0, 0.0, 2.0, 0.0),
    "locate+code@": (0.2, -0.3, 1.6, 0.3),
    "plan": (-0.2, 1.9, 0.0, -0.1),
    "plan+fault": (0.4, 0.6, 1.2, -0.2),
    "plan+doc": (-0.2, 1.0, 0.0, 1.2),
    "light": (0.4, 0.0, 0.1, 0.0),
    "light+review": (-0.2, 0.0, 2.0, 0.1),
    "make+review": (0.1, 0.2, 1.4, 0.6),
    "give+review": (0.0, 0.2, 1.5, 0.3),
    "plan+review": (0.2, 0.5, 1.4, 0.0),
    "give": (0.5, 0.5, 0.0, 0.2),
    "give+code": (1.4, 0.2, 0.0, 0.0),
    "give+doc": (0.0, 0.3, 0.0, 1.2),
    "give+plan": (0.0, 1.4, 0.0, 0.0),
    # what is asked, by the question's words
    "want": (0.6, 0.1, 0.0, 0.0),
    "howto": (1.3, 0.6, -0.4, -0.5),
    "howto+code": (1.9, 0.2, -0.5, -0.5),
    "howto+doc": (0.6, 0.2, -0.3, 0.9),
    "whatis+code": (0.4, 1.0, 0.4, 0.2),
    "howto+plan": (0.3, 1.6, 0.0, -0.3),
    "howworks": (-0.6, 1.1, 0.5, 0.5),
    "howours": (-0.7, 0.3, 0.9, 0.9),
    "whyours": (0.0, 0.5, 1.5, -0.2),
    "whatis+fault": (0.0, 0.2, 1.8, -0.2),
    "whatis+code@": (0.0, 0.3, 0.9, 0.9),
    "whatis+concept@": (-0.3, 0.9, 0.6, 0.7),
    "howworks@": (-0.8, -0.2, 1.0, 1.2),
    "whatdoes": (-0.6, 1.4, 0.2, 0.8),
    "whatdoes@": (-0.8, -0.3, 0.8, 2.0),
    "wrong": (0.0, 0.0, 1.6, -0.5),
    "wrong@": (0.1, -0.4, 2.4, -0.6),
    "why": (-0.3, 1.2, 0.7, -0.2),
    "why@": (-0.1, 0.1, 1.8, -0.2),
    "where": (-0.2, 0.1, 1.8, 0.0),
    "whatis": (-0.4, 1.6, 0.1, -0.1),
    "whatis@": (-0.4, 0.6, 0.9, 0.6),
    "versus": (-0.4, 1.8, -0.2, -0.3),
    "should": (-0.2, 1.3, 0.4, -0.2),
    "yesno": (-0.3, 0.9, 0.4, -0.2),
    "yesno@": (-0.2, 0.4, 1.2, -0.1),
    "getting": (1.2, -0.2, 0.5, -0.6),
    # words anywhere in the prose
    "any doc": (-0.4, -0.1, -0.2, 0.8),
    "any review": (-0.2, 0.0, 0.5, 0.0),
    "any tongue": (0.5, 0.2, -0.5, -0.2),
    "title+doc": (-0.6, -0.2, -0.4, 2.5),
    "title+plan": (-0.4, 2.4, 0.0, 0.0),
    "title+review": (-0.6, -0.2, 2.6, 0.0),
    "title+fault": (0.0, 0.0, 1.2, 0.0),
    "title+code": (0.8, 0.0, 0.0, 0.0),
    "any plan": (-0.3, 0.7, 0.0, -0.1),
    "any concept": (-0.2, 0.5, 0.0, 0.0),
    "any fault": (0.0, -0.2, 0.6, -0.3),
    "any uses": (-0.2, 0.0, 0.6, 0.2),
    "any cause": (-0.2, 0.2, 0.4, 0.0),
    "any impact": (-0.2, 0.1, 0.6, 0.0),
    # the shape of the whole
    "bare traceback": (3.0, -0.5, 0.3, -0.5),
    "bare log": (1.6, -0.5, 1.2, -0.3),
    "bare diff": (0.2, -0.3, 1.4, 0.8),
    "bare code": (2.4, -0.6, 0.2, 0.0),
    "traceback": (1.2, -0.6, 0.4, -0.6),
    "log": (0.4, -0.5, 0.8, -0.3),
    "diff": (0.0, -0.4, 0.8, 0.5),
    "code": (0.6, -0.3, 0.3, 0.0),
    "statement": (0.7, 0.1, 0.1, 0.0),
    "names a file": (0.1, -0.3, 0.2, 0.2),
    "project": (-0.2, -0.2, 0.5, 0.3),
}
"""What each finding speaks for; a name that is not here says nothing."""

SYMBOLS: Final[dict[str, float]] = {
    "any project": 0.8,
    "any structure": 0.9,
    "any uses": 0.5,
    "names a file": 0.4,
    "names the project": 1.2,
    "names files": 0.8,
    "names code": 0.5,
    "where": 0.6,
    "should": 0.3,
    "howours": 0.3,
    "howworks": 0.3,
    "howworks@": 0.4,
    "review@": 0.2,
    "review+code": 0.2,
    "review+code@": 0.2,
    "change+code": 0.1,
    "howto": -1.2,
    "howto+code": -1.2,
    "howto+plan": -1.0,
    "any tongue": -0.8,
    "whatis": -0.3,
    "make+doc": -0.8,
    "change+doc": -0.8,
    "document": -0.5,
    "traceback": -0.5,
    "bare traceback": -1.0,
    "code": -0.6,
    "bare code": -1.0,
    "titled": -1.0,
}
"""What each finding says for or against a need of code intelligence on the project."""

SYMBOLS_NEEDED: Final = 0.75
"""The sum of `SYMBOLS` from which code intelligence is wanted."""

PRIOR: Final[Weights] = (0.5, 0.0, 0.0, -0.3)
"""What speaks where nothing is found."""

TEMPERATURE: Final = 1.15
"""Divides the sums before the softmax, so that a confidence of 0.7 is right in about seven cases of ten."""

PASTED: Final[dict[str, str]] = {
    "traceback": r"""
        Traceback\ \(most | File\ ".{1,200}?",\ line\ \d | at\ [\w$.<>]{2,99}\( | Caused\ by: | E[ ]{3}
        | (?:[\w.]{1,99})?(?:Error|Exception|Warning)\b:\  | error(?:\[\w+\])?:[ ]""",
    "log": r"""
        \[?(?:\d{4}-\d\d-\d\d[ T]\d\d: | \d\d:\d\d:\d\d | [\w\ -]{1,60}\.{6,}
        | (?:INFO|DEBUG|WARN|WARNING|ERROR)\b[\]:\ ])""",
    "diff": r"diff\ --git\  | @@\ -\d | \+\+\+\  | ---\ a/ | index\ [0-9a-f]{7,40}\.\.",
    "quote": r">(?!>>)",
    "code": r"""
        (?:async\ )?def\ \w+\ ?\( | class\ \w+\ ?[(:{] | import\ \w[\w.,\ ]*$
        | from\ [\w.]+\ import\  | return\b | else: | try:
        | (?:if|for|while|with|elif|except)\b.{0,200}:$ | @\w+[\w.]*(?:\(.*\))?$ | \#include
        | using\ [\w.]+; | fn\ \w+ | func\ \w+
        | (?:public|private|protected|static|const|let|var|final)\ \w
        | function\ \w+\ ?\( | >>>\  | In\ \[ | \$\ \w
        | (?:SELECT|INSERT\ INTO|CREATE\ TABLE|UPDATE|DELETE\ FROM|INNER\ JOIN|LEFT\ JOIN|FROM|WHERE|GROUP\ BY
        |ORDER\ BY)\b\ [\w`"*(\[]
        | </?\w[\w-]*[\ >/] | <!-- | // | /\* | [}\])]+[;,]?$ | [\w.\[\]'"]{1,60}\ ?[-+*/|]?=\ ?\S
        | [\w.]{1,60}\(.{0,200}\);?$
        | [\w-]{1,40}:\ [\[{"'] | [-+]?\d[\d.,;\t\ |-]*$""",
}
"""How pasted lines begin, after their indentation; the first kind that fits a line is its kind."""

LEADS: Final = frozenset(
    """
    , ; : – — to and then please let let's lets just also now don't dont me kindly or but first next finally help
    carefully thoroughly properly be ahead want need zu und bitte y e et o para por pour und que si и или
    """.split()
)
"""Words after which a verb orders."""

PRONOUNS: Final = frozenset("we you i u".split())
MODALS: Final = frozenset("can could would will should shall must may might".split())
"""Before a pronoun they make the verb after it an order: "can you fix"."""

AFTER_QUESTION: Final = frozenset("and then please".split())
"""Words after which a verb orders even in a sentence that has asked a question."""

VERB_LAST: Final = frozenset("kannst konnen konntest konnten konnte bitte".split())
"""First words of sentences whose verb comes last."""

TEMPLATES: Final[dict[str, str]] = {
    "pair": 'verb + object: "{}"',
    "verb": 'verb: "{}"',
    "question": 'question: "{}"',
    "word": 'word: "{}"',
    "title": 'title: "… {}"',
    "traceback": "a bare traceback",
    "log": "a bare log",
    "diff": "a bare diff",
    "code": "code and nothing else",
}
"""How evidence reads."""
